#include "features/feast_sqlite.h"

#include <gtest/gtest.h>

#include "features/feast_keys.h"
#include "features/testing/feast_file.h"
#include "features/testing/places.h"

namespace sluice::features {
namespace {

namespace fs = std::filesystem;
using testing::ask;
using testing::FeastFile;

constexpr std::int64_t kTen = 1'795'687'200'000'000'000;  // 2026-11-26T10:00:00Z

class FeastSqlite : public ::testing::Test {
 protected:
  std::shared_ptr<const FeatureStore> store(const std::string& project = "shop") const {
    auto options = testing::at("feast+sqlite:" + file_.string());
    options.project = project;
    return testing::opened(options);
  }
  static std::string key(std::string_view id) {
    const testing::Entity entity = {id};
    return feast_entity_key(kKeys, entity, 3).value();
  }
  static FeatureLookup lookup(std::vector<WantedFeature> features) {
    return {kKeys, std::move(features)};
  }

  static inline const std::vector<EntityKey> kKeys = {{"driver_id", KeyType::kInt64}};
  const testing::Place place_;
  const fs::path file_ = place_ / "online_store.db";
};

TEST_F(FeastSqlite, TimesInEveryWayThatFeastHasWrittenThem) {
  FeastFile file(file_, "shop_stats");
  file.put(key("1"), "plain", 1.5, "2026-11-26 10:00:00");
  file.put(key("1"), "fraction", 1.5, "2026-11-26 10:00:00.250000");
  file.put(key("1"), "zone", 1.5, "2026-11-26 12:00:00+02:00");
  file.put(key("1"), "seconds", 1.5, "1795687200");
  file.put(key("1"), "nonsense", 1.5, "yesterday");
  const auto rows = ask(*store(),
                        lookup({{"stats:plain"},
                                {"stats:fraction"},
                                {"stats:zone"},
                                {"stats:seconds"},
                                {"stats:nonsense"}}),
                        {{"1"}});
  ASSERT_TRUE(rows) << rows.error().message;
  const auto& values = rows->front().values;
  EXPECT_EQ(values[0].time_ns, kTen);
  EXPECT_EQ(values[1].time_ns, kTen + 250'000'000);
  EXPECT_EQ(values[2].time_ns, kTen);
  EXPECT_EQ(values[3].time_ns, kTen);
  EXPECT_EQ(values[4].time_ns, 0);
  EXPECT_EQ(std::get<double>(values[4].data), 1.5);
}

TEST_F(FeastSqlite, NamesAreNamesWhateverIsInThem) {
  constexpr std::string_view kEvil = "x\" WHERE 1 OR \"'; DROP TABLE t;--";
  // In SQL a quote within quotes is written twice.
  FeastFile file(file_, "shop_x\"\" WHERE 1 OR \"\"'; DROP TABLE t;--");
  file.run("CREATE TABLE t (a)");
  file.put(key("1"), "a'b", std::int64_t{4}, "");
  const auto name = std::string(kEvil) + ":a'b";
  const auto rows = ask(*store(), lookup({{name}}), {{"1"}, {"2"}});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(std::get<std::int64_t>((*rows)[0].values[0].data), 4);
  EXPECT_FALSE((*rows)[1].known);
  file.run("SELECT a FROM t");
}

TEST_F(FeastSqlite, AViewThatIsNotThereIsNamed) {
  const FeastFile file(file_, "shop_stats");
  const auto rows = ask(*store(), lookup({{"stat:rate"}}), {{"1"}});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().reason, "bad_store");
  EXPECT_NE(rows.error().message.find("'stat'"), std::string::npos) << rows.error().message;
  const auto other = ask(*store("other"), lookup({{"stats:rate"}}), {{"1"}});
  EXPECT_FALSE(other) << "the project is part of the table's name";
  EXPECT_FALSE(store()->reader(lookup({{"rate"}}))) << "without a view";
}

TEST_F(FeastSqlite, WithoutAFileItIsUnavailableUntilThereIsOne) {
  const auto early = store();
  const auto rows = ask(*early, lookup({{"stats:rate"}}), {{"1"}});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().reason, "store_unavailable");
  FeastFile file(file_, "shop_stats");
  file.put(key("1"), "rate", 0.5, "");
  const auto later = ask(*early, lookup({{"stats:rate"}}), {{"1"}});
  ASSERT_TRUE(later) << later.error().message;
  EXPECT_TRUE(later->front().known);
}

TEST_F(FeastSqlite, ALockThatIsHeldTooLongIsATimeout) {
  FeastFile file(file_, "shop_stats");
  file.put(key("1"), "rate", 0.5, "");
  const auto kept = store();
  const auto reader = kept->reader(lookup({{"stats:rate"}}));
  ASSERT_TRUE(reader);
  const testing::Entity entity = {"1"};
  const std::vector<EntityValues> entities = {entity};
  std::vector<FeatureRow> rows(1);
  file.run("BEGIN EXCLUSIVE");
  const auto locked = (*reader)->read(
      entities, rows, std::chrono::steady_clock::now() + std::chrono::milliseconds(20));
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().reason, "store_timeout") << locked.error().message;
  file.run("COMMIT");
  EXPECT_TRUE((*reader)->read(entities, rows, testing::soon()));
}

TEST_F(FeastSqlite, ListsTheViewsOfTheProject) {
  FeastFile file(file_, "shop_stats");
  file.run("CREATE TABLE other_stats (entity_key BLOB, feature_name TEXT, value BLOB, event_ts)");
  file.run("CREATE TABLE shop_unlike (a)");
  file.put(key("1"), "rate", 0.5, "2026-11-26 10:00:00");
  file.put(key("1"), "name", std::string("x"), "2026-11-26 10:00:00");
  const testing::Entity known = {"1"};
  const testing::Entity unknown = {"2"};
  const auto list = store()->list(kKeys, known, testing::soon());
  ASSERT_TRUE(list && *list);
  ASSERT_EQ((*list)->size(), 2u);
  EXPECT_EQ((**list)[0].first, "stats:name");
  EXPECT_EQ((**list)[1].second.time_ns, kTen);
  EXPECT_TRUE((*store()->list(kKeys, unknown, testing::soon()))->empty());
}

TEST_F(FeastSqlite, NeedsAProjectAndAFile) {
  EXPECT_EQ(open_store(testing::at("feast+sqlite:" + file_.string())).error().reason,
            "bad_store_url");
  EXPECT_EQ(open_store(testing::at("feast+sqlite:")).error().reason, "bad_store_url");
}

}  // namespace
}  // namespace sluice::features
