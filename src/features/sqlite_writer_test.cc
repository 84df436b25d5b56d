#include "features/sqlite_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/random.h"
#include "features/testing/places.h"

namespace sluice::features {
namespace {

namespace fs = std::filesystem;
using testing::ask;
using testing::write;

class SqliteWriting : public ::testing::Test {
 protected:
  // "n=1@5 m=null@6", in the order of the names; "absent" where there is none.
  std::string all_of(std::string_view entity, const std::vector<std::string>& names) const {
    const auto store = testing::opened(testing::at("sqlite:" + file_.string()));
    FeatureLookup lookup{{{"id"}}, {}};
    for (const auto& name : names) lookup.features.push_back({name, FeatureType::kAny});
    const auto rows = ask(*store, lookup, {{entity}});
    if (!rows) return rows.error().message;
    if (!rows->front().known) return "unknown";
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto& value = rows->front().values[i];
      out += (i == 0 ? "" : " ") + names[i] + "=";
      if (const auto* number = std::get_if<std::int64_t>(&value.data)) {
        out += std::to_string(*number) + "@" + std::to_string(value.time_ns);
      } else {
        out += std::holds_alternative<Null>(value.data) ? "null" : "absent";
      }
    }
    return out;
  }
  static FeatureData n(std::int64_t number) { return number; }

  const testing::Place place_;
  const fs::path file_ = place_ / "state" / "features.db";
};

TEST_F(SqliteWriting, WhatIsNotImportedStays) {
  ASSERT_TRUE(write(file_, {"a", "b"}, {{{"u1"}, {n(1), n(2)}, 5}, {{"u2"}, {n(1), n(2)}, 5}}));
  ASSERT_TRUE(write(file_, {"c", "b"}, {{{"u1"}, {n(3), Null{}}, 6}}));
  EXPECT_EQ(all_of("u1", {"a", "b", "c"}), "a=1@5 b=null c=3@6");
  EXPECT_EQ(all_of("u2", {"a", "b", "c"}), "a=1@5 b=2@5 c=absent");
}

TEST_F(SqliteWriting, WhatWasTrueLaterStays) {
  ASSERT_TRUE(write(file_, {"a", "b"}, {{{"u1"}, {n(1), n(2)}, 5}}));
  ASSERT_TRUE(write(file_, {"a", "c"}, {{{"u1"}, {n(3), n(4)}, 4}}));
  EXPECT_EQ(all_of("u1", {"a", "b", "c"}), "a=1@5 b=2@5 c=4@4");
  ASSERT_TRUE(write(file_, {"a"}, {{{"u1"}, {n(7)}, 5}}));
  EXPECT_EQ(all_of("u1", {"a"}), "a=7@5") << "the same time: the later import";
}

TEST_F(SqliteWriting, TheLaterOfTwoRowsWins) {
  const auto entities = write(file_, {"a", "b"},
                              {{{"u1"}, {n(1), n(1)}, 9},
                               {{"u2"}, {n(5), n(5)}, 1},
                               {{"u1"}, {n(2), n(2)}, 3},
                               {{"u2"}, {n(6), Absent{}}, 1}});
  ASSERT_TRUE(entities) << entities.error().message;
  EXPECT_EQ(*entities, 2u);
  EXPECT_EQ(all_of("u1", {"a", "b"}), "a=1@9 b=1@9");
  EXPECT_EQ(all_of("u2", {"a", "b"}), "a=6@1 b=5@1") << "the same time: the later row";
}

TEST_F(SqliteWriting, WithoutFinishNothingIsThere) {
  {
    auto writer = SqliteWriter::open(file_, "default", {{"id"}}, {"a"});
    ASSERT_TRUE(writer) << writer.error().message;
    const testing::Entity good = {"u1"};
    const testing::Entity empty = {""};
    const std::vector<FeatureData> values = {n(1)};
    ASSERT_TRUE(writer->put(good, values, 1));
    const auto bad = writer->put(empty, values, 1);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().reason, "bad_entity");
  }
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(SqliteWriting, ManyEntitiesInAnyOrderAndALogThatStaysShort) {
  constexpr std::int64_t kMany = 40'000;
  std::vector<std::int64_t> order(kMany);
  for (std::int64_t i = 0; i < kMany; ++i) order[static_cast<std::size_t>(i)] = i;
  Random random(3);
  std::ranges::shuffle(order, random);
  auto writer = SqliteWriter::open(file_, "default", {{"id"}}, {"a", "b"});
  ASSERT_TRUE(writer) << writer.error().message;
  for (const auto i : order) {
    const auto name = "u" + std::to_string(i);
    const testing::Entity entity = {name};
    ASSERT_TRUE(writer->put(entity, std::vector<FeatureData>{n(i), n(-i)}, 7));
  }
  // Somebody reads all the time, so that the log is not removed at the end.
  const auto store = testing::opened(testing::at("sqlite:" + file_.string()));
  ASSERT_TRUE(write(file_, {"a"}, {{{"u3"}, {n(0)}, 1}}));
  ASSERT_TRUE(ask(*store, {{{"id"}}, {{"a"}}}, {{"u3"}}));
  const auto entities = writer->finish();
  ASSERT_TRUE(entities) << entities.error().message;
  EXPECT_EQ(*entities, static_cast<std::uint64_t>(kMany));
  EXPECT_EQ(all_of("u3", {"a", "b"}), "a=3@7 b=-3@7");
  EXPECT_EQ(all_of("u39999", {"b"}), "b=-39999@7");
  EXPECT_EQ(all_of("u40000", {"b"}), "unknown");
  ASSERT_TRUE(fs::exists(file_.string() + "-wal"));
  EXPECT_EQ(fs::file_size(file_.string() + "-wal"), 0u);
}

TEST_F(SqliteWriting, ADirectoryIsMadeForThisUserAlone) {
  ASSERT_TRUE(write(place_ / "one" / "features.db", {"a"}, {{{"u1"}, {n(1)}, 1}}));
  ASSERT_TRUE(write(place_ / "one" / "two" / "three" / "f.db", {"a"}, {{{"u1"}, {n(1)}, 1}}));
  EXPECT_EQ(fs::status(place_ / "one").permissions(), fs::perms::owner_all);
}

TEST_F(SqliteWriting, ADirectoryThatCannotBeMadeIsTold) {
  std::ofstream(place_ / "state") << "a file";
  const auto written = write(file_, {"a"}, {{{"u1"}, {n(1)}, 1}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().reason, "store_unavailable");
}

}  // namespace
}  // namespace sluice::features
