#include "features/sqlite.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "clients/sqlite.h"
#include "features/testing/places.h"

namespace sluice::features {
namespace {

namespace fs = std::filesystem;
using testing::ask;
using testing::opened;
using testing::write;

constexpr std::int64_t kFive = 5;

class EmbeddedStore : public ::testing::Test {
 protected:
  std::shared_ptr<const FeatureStore> store(const std::string& name = "default") const {
    return opened(testing::at("sqlite:" + file_.string(), name));
  }
  static FeatureLookup lookup(std::vector<WantedFeature> features) {
    return {{{"id", KeyType::kText}}, std::move(features)};
  }
  // The feature "n" of an entity, or -1 where there is none.
  static std::int64_t number(const FeatureStore& store, std::string_view entity) {
    const auto rows = ask(store, lookup({{"n"}}), {{entity}});
    EXPECT_TRUE(rows) << (rows ? "" : rows.error().message);
    if (!rows || !rows->front().known) return -1;
    return std::get<std::int64_t>(rows->front().values[0].data);
  }
  // Changes the file as somebody else might.
  void tamper(std::string_view sql) const {
    constexpr const char* kNothing[] = {""};
    auto database = clients::SqliteDatabase::in_file(file_, {0x534c5546, kNothing});
    ASSERT_TRUE(database) << database.error().message;
    auto statement = database->prepare(sql);
    ASSERT_TRUE(statement && statement->run());
  }

  const testing::Place place_;
  const fs::path file_ = place_ / "features.db";
};

TEST_F(EmbeddedStore, AllOfWhatWasWrittenIsRead) {
  ASSERT_TRUE(write(file_, {"n", "r", "t", "b", "none", "list"},
                    {{{"u1"},
                      {std::int64_t{9007199254740993}, 0.5, std::string("x"), true, Null{},
                       std::vector<double>{1, 2}},
                      kFive}}));
  const auto rows = ask(*store(),
                        lookup({{"b"},
                                {"n"},
                                {"missing"},
                                {"r", FeatureType::kText},
                                {"none"},
                                {"list"},
                                {"t", FeatureType::kNumber},
                                {"n", FeatureType::kText}}),
                        {{"nobody"}, {"u1"}});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_FALSE((*rows)[0].known);
  const auto& row = (*rows)[1];
  ASSERT_TRUE(row.known);
  EXPECT_TRUE(std::get<bool>(row.values[0].data));
  EXPECT_EQ(std::get<std::int64_t>(row.values[1].data), 9007199254740993);
  EXPECT_EQ(row.values[1].time_ns, kFive);
  EXPECT_TRUE(std::holds_alternative<Absent>(row.values[2].data));
  EXPECT_EQ(std::get<std::string>(row.values[3].data), "0.5");
  EXPECT_TRUE(std::holds_alternative<Null>(row.values[4].data));
  EXPECT_EQ(std::get<std::vector<double>>(row.values[5].data).size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Unreadable>(row.values[6].data)) << "x is no number";
  EXPECT_EQ(std::get<std::string>(row.values[7].data), "9007199254740993");
}

TEST_F(EmbeddedStore, TheFileMayComeLaterAndGo) {
  const auto early = store();
  EXPECT_EQ(number(*early, "u1"), -1);
  EXPECT_FALSE(fs::exists(file_)) << "a reader makes no file";
  ASSERT_TRUE(write(file_, {"n"}, {{{"u1"}, {std::int64_t{1}}, kFive}}));
  EXPECT_EQ(number(*early, "u1"), 1);
  ASSERT_TRUE(write(file_, {"n"}, {{{"u1"}, {std::int64_t{2}}, kFive}}));
  EXPECT_EQ(number(*early, "u1"), 2) << "what is written while it is open is seen";
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(file_.string() + end);
  EXPECT_EQ(number(*early, "u1"), -1);
}

TEST_F(EmbeddedStore, TheFileMayBeReplaced) {
  std::vector<testing::Row> many;
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i) names.push_back("u" + std::to_string(i));
  for (const auto& name : names) many.push_back({{name}, {std::int64_t{1}}, kFive});
  ASSERT_TRUE(write(file_, {"n"}, many));
  const auto reading = store();
  EXPECT_EQ(number(*reading, "u2999"), 1);
  // A shorter one: whoever remembers the length of the old one finds it damaged.
  const auto other = place_ / "other.db";
  ASSERT_TRUE(write(other, {"m", "n"}, {{{"u1"}, {Null{}, std::int64_t{7}}, kFive}}));
  fs::rename(other, file_);
  EXPECT_EQ(number(*reading, "u1"), 7);
  EXPECT_EQ(number(*reading, "u2999"), -1);
}

TEST_F(EmbeddedStore, StoresOfOneFileDoNotMix) {
  ASSERT_TRUE(write(file_, {"n"}, {{{"u1"}, {std::int64_t{1}}, kFive}}));
  ASSERT_TRUE(write(file_, {"n"}, {{{"u1"}, {std::int64_t{2}}, kFive}}, {{"id"}}, "other"));
  EXPECT_EQ(number(*store(), "u1"), 1);
  EXPECT_EQ(number(*store("other"), "u1"), 2);
  EXPECT_EQ(number(*store("third"), "u1"), -1);
}

TEST_F(EmbeddedStore, SeveralKeysAreOneEntity) {
  const std::vector<EntityKey> written = {{"shop"}, {"city"}};
  ASSERT_TRUE(write(file_, {"n"}, {{{"1", "23"}, {std::int64_t{4}}, kFive}}, written));
  const auto kept = store();
  const auto ask_one = [&](const std::vector<EntityKey>& keys, testing::Entity entity) {
    const auto rows = ask(*kept, {keys, {{"n"}}}, {std::move(entity)});
    return rows && rows->front().known;
  };
  EXPECT_TRUE(ask_one({{"shop"}, {"city"}}, {"1", "23"}));
  EXPECT_TRUE(ask_one({{"city"}, {"shop"}}, {"23", "1"})) << "the order of the keys is nothing";
  EXPECT_FALSE(ask_one({{"shop"}, {"city"}}, {"12", "3"})) << "the same bytes, cut elsewhere";
  EXPECT_FALSE(ask_one({{"id"}}, {"123"}));
}

TEST_F(EmbeddedStore, ListsAllOfAnEntity) {
  ASSERT_TRUE(write(file_, {"b", "a"}, {{{"u1"}, {0.5, Null{}}, kFive}}));
  const std::vector<EntityKey> keys = {{"id"}};
  const testing::Entity known = {"u1"};
  const testing::Entity unknown = {"u2"};
  const auto kept = store();
  const auto list = kept->list(keys, known, testing::soon());
  ASSERT_TRUE(list && *list);
  ASSERT_EQ((*list)->size(), 2u);
  EXPECT_EQ((**list)[0].first, "a");
  EXPECT_EQ((**list)[1].second.time_ns, kFive);
  const auto nobody = kept->list(keys, unknown, testing::soon());
  ASSERT_TRUE(nobody && *nobody);
  EXPECT_TRUE((*nobody)->empty());
}

TEST_F(EmbeddedStore, ADamagedEntityIsUnreadableAndNoOther) {
  ASSERT_TRUE(write(file_, {"n", "m"},
                    {{{"u1"}, {std::int64_t{1}, std::int64_t{1}}, kFive},
                     {{"u2"}, {std::int64_t{2}, std::int64_t{2}}, kFive}}));
  tamper("UPDATE entities SET body = substr(body, 1, length(body) - 3) WHERE entity = x'7531'");
  const auto rows = ask(*store(), lookup({{"n"}, {"m"}}), {{"u1"}, {"u2"}});
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_TRUE((*rows)[0].known);
  EXPECT_EQ(std::get<std::int64_t>((*rows)[0].values[0].data), 1) << "before the damage";
  EXPECT_TRUE(std::holds_alternative<Unreadable>((*rows)[0].values[1].data));
  EXPECT_EQ(std::get<std::int64_t>((*rows)[1].values[1].data), 2);
}

TEST_F(EmbeddedStore, AFileOfSomebodyElseIsBad) {
  constexpr const char* kOther[] = {"CREATE TABLE entities (a TEXT)"};
  ASSERT_TRUE(clients::SqliteDatabase::in_file(file_, {7, kOther}));
  const auto rows = ask(*store(), lookup({{"n"}}), {{"u1"}});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().reason, "bad_store");
  EXPECT_EQ(rows.error().code, Code::kFailedPrecondition);
  EXPECT_NE(rows.error().message.find("feature store 'default'"), std::string::npos);
  EXPECT_EQ(rows.error().message.find(file_.string()), std::string::npos) << "shows a path";
  const auto written = write(file_, {"n"}, {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().reason, "bad_store");
}

TEST_F(EmbeddedStore, InMemoryKnowsNobody) {
  const auto empty = opened(testing::at("sqlite::memory:"));
  EXPECT_EQ(number(*empty, "u1"), -1);
  const auto nowhere = open_store(testing::at("sqlite:"));
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().reason, "bad_store_url");
}

// An entity is written whole: whoever reads meanwhile sees all features of one import.
TEST_F(EmbeddedStore, ReadersSeeWholeEntitiesWhileOneWrites) {
  const auto import = [&](std::int64_t round) {
    std::vector<testing::Row> rows;
    for (const char* name : {"a", "b", "c"}) rows.push_back({{name}, {round, round}, round});
    return write(file_, {"n", "m"}, rows);
  };
  ASSERT_TRUE(import(0));
  const auto kept = store();
  std::atomic<bool> written = false;
  std::atomic<int> torn = 0;
  std::atomic<int> read = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      do {
        const auto rows = ask(*kept, lookup({{"n"}, {"m"}}), {{"a"}, {"c"}});
        ASSERT_TRUE(rows) << rows.error().message;
        const auto value = [&](std::size_t row, std::size_t column) {
          return std::get<std::int64_t>((*rows)[row].values[column].data);
        };
        const bool same = value(0, 0) == value(0, 1) && value(0, 0) == value(1, 1);
        torn += same ? 0 : 1;
        ++read;
      } while (!written);
    });
  }
  for (std::int64_t round = 1; round <= 30; ++round) ASSERT_TRUE(import(round));
  written = true;
  readers.clear();
  EXPECT_EQ(torn, 0);
  EXPECT_GE(read, 3);
  EXPECT_EQ(number(*kept, "b"), 30);
}

}  // namespace
}  // namespace sluice::features
