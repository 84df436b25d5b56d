// What every store must do, whatever it keeps its features in. Another store is one more line in
// kStores, and a function that puts rows into one.

#include <gtest/gtest.h>

#include "features/builtin.h"
#include "features/convert.h"
#include "features/feast_keys.h"
#include "features/testing/feast_file.h"
#include "features/testing/places.h"

namespace sluice::features {
namespace {

using testing::Entity;
using testing::Place;
using Keys = std::vector<EntityKey>;
using Rows = std::vector<testing::Row>;

// Fills a store with rows of the features a, b, … and answers how to open it.
using Fill = StoreOptions (*)(const Place& place, const Keys& keys,
                              const std::vector<std::string>& features, const Rows& rows);

StoreOptions fill_sqlite(const Place& place, const Keys& keys,
                         const std::vector<std::string>& features, const Rows& rows) {
  const auto written = testing::write(place / "features.db", features, rows, keys);
  EXPECT_TRUE(written) << (written ? "" : written.error().message);
  return testing::at("sqlite:" + (place / "features.db").string());
}

StoreOptions fill_feast_sqlite(const Place& place, const Keys& keys,
                               const std::vector<std::string>& features, const Rows& rows) {
  testing::FeastFile file(place / "online.db", "shop_view");
  file.run("BEGIN");  // or the disk would have to have each row alone
  for (const auto& row : rows) {
    const auto key = feast_entity_key(keys, row.entity, 3);
    EXPECT_TRUE(key) << (key ? "" : key.error().message);
    std::string time;
    append_time(row.time_ns, time);
    for (std::size_t i = 0; i < features.size(); ++i) {
      if (std::holds_alternative<Absent>(row.values[i])) continue;
      file.put(*key, features[i], row.values[i], time);
    }
  }
  file.run("COMMIT");
  auto out = testing::at("feast+sqlite:" + (place / "online.db").string());
  out.project = "shop";
  return out;
}

struct Kind {
  const char* scheme;
  const char* prefix;  // of features' names
  Fill fill;
};

constexpr Kind kStores[] = {
    {"sqlite", "", fill_sqlite},
    {"feast+sqlite", "view:", fill_feast_sqlite},
};

class StoreContract : public ::testing::TestWithParam<Kind> {
 protected:
  void fill(const Keys& keys, const std::vector<std::string>& features, const Rows& rows) {
    keys_ = keys;
    store_ = testing::opened(GetParam().fill(place_, keys, features, rows));
  }
  std::vector<FeatureRow> read(const std::vector<WantedFeature>& features,
                               const std::vector<Entity>& entities) const {
    FeatureLookup lookup{keys_, features};
    for (auto& feature : lookup.features) feature.name = GetParam().prefix + feature.name;
    auto rows = testing::ask(*store_, lookup, entities);
    EXPECT_TRUE(rows) << (rows ? "" : rows.error().message);
    return rows ? *rows : std::vector<FeatureRow>(entities.size());
  }
  static std::int64_t integer(const FeatureRow& row, std::size_t at) {
    const auto* value = row.known ? std::get_if<std::int64_t>(&row.values.at(at).data) : nullptr;
    return value ? *value : -1;
  }
  template <class T>
  static bool is(const FeatureRow& row, std::size_t at) {
    return row.known && std::holds_alternative<T>(row.values.at(at).data);
  }

  const Place place_;
  Keys keys_;
  std::shared_ptr<const FeatureStore> store_;
};

constexpr std::int64_t kTime = 1'795'687'200'000'000'000;

TEST_P(StoreContract, KnownAndUnknownEntities) {
  fill({{"id"}}, {"a", "b"},
       {{{"u1"}, {std::int64_t{1}, 0.5}, kTime}, {{"u2"}, {std::int64_t{2}, 1.5}, kTime}});
  const auto rows = read({{"b"}, {"a"}}, {{"u2"}, {"u3"}, {"u1"}, {"u2"}});
  EXPECT_EQ(integer(rows[0], 1), 2);
  EXPECT_EQ(std::get<double>(rows[0].values.at(0).data), 1.5);
  EXPECT_EQ(rows[0].values[0].time_ns, kTime);
  EXPECT_FALSE(rows[1].known);
  EXPECT_EQ(integer(rows[2], 1), 1);
  EXPECT_EQ(integer(rows[3], 1), 2) << "asked for twice";
}

TEST_P(StoreContract, NullIsNotAbsent) {
  fill({{"id"}}, {"a", "b"},
       {{{"u1"}, {Null{}, Absent{}}, kTime}, {{"u2"}, {Absent{}, std::int64_t{1}}, kTime}});
  const auto rows = read({{"a"}, {"b"}}, {{"u1"}, {"u2"}});
  EXPECT_TRUE(is<Null>(rows[0], 0));
  EXPECT_TRUE(is<Absent>(rows[0], 1));
  EXPECT_TRUE(is<Absent>(rows[1], 0));
  const auto without = read({{"b"}}, {{"u1"}});
  EXPECT_FALSE(without[0].known) << "it has none of these features";
}

TEST_P(StoreContract, AWrongTypeIsUnreadableAndNoError) {
  fill({{"id"}}, {"a", "b"}, {{{"u1"}, {std::string("red"), std::string("17")}, kTime}});
  const auto rows =
      read({{"a", FeatureType::kNumber}, {"a", FeatureType::kText}, {"b", FeatureType::kNumber}},
           {{"u1"}});
  EXPECT_TRUE(is<Unreadable>(rows[0], 0));
  EXPECT_TRUE(is<std::string>(rows[0], 1)) << "the same feature as another type";
  EXPECT_EQ(integer(rows[0], 2), 17);
}

TEST_P(StoreContract, IntegersAreExact) {
  constexpr std::int64_t kOdd = 9'007'199'254'740'993;  // no double is
  fill({{"id"}}, {"a", "b"}, {{{"u1"}, {kOdd, -kOdd}, kTime}});
  const auto rows = read({{"a"}, {"b", FeatureType::kNumber}}, {{"u1"}});
  EXPECT_EQ(integer(rows[0], 0), kOdd);
  EXPECT_EQ(integer(rows[0], 1), -kOdd);
}

TEST_P(StoreContract, AKeyMayHaveAnyBytes) {
  constexpr std::string_view kBytes("a\0'\xff;\"b", 7);
  fill({{"id"}}, {"a"},
       {{{kBytes}, {std::int64_t{1}}, kTime}, {{kBytes.substr(0, 1)}, {std::int64_t{2}}, kTime}});
  const auto rows = read({{"a"}}, {{kBytes}, {kBytes.substr(0, 1)}, {kBytes.substr(0, 2)}});
  EXPECT_EQ(integer(rows[0], 0), 1);
  EXPECT_EQ(integer(rows[1], 0), 2);
  EXPECT_FALSE(rows[2].known);
}

TEST_P(StoreContract, TwoKeys) {
  fill({{"shop"}, {"city"}}, {"a"}, {{{"1", "23"}, {std::int64_t{1}}, kTime}});
  const auto rows = read({{"a"}}, {{"1", "23"}, {"12", "3"}, {"23", "1"}});
  EXPECT_EQ(integer(rows[0], 0), 1);
  EXPECT_FALSE(rows[1].known);
  EXPECT_FALSE(rows[2].known);
}

TEST_P(StoreContract, KeysOfNumbers) {
  for (const auto type : {KeyType::kInt32, KeyType::kInt64}) {
    std::filesystem::remove(place_ / "online.db");
    fill({{"id", type}}, {"a"},
         {{{"1001"}, {std::int64_t{1}}, kTime}, {{"-5"}, {std::int64_t{2}}, kTime}});
    const auto rows = read({{"a"}}, {{"-5"}, {"1001"}, {"1002"}});
    EXPECT_EQ(integer(rows[0], 0), 2);
    EXPECT_EQ(integer(rows[1], 0), 1);
    EXPECT_FALSE(rows[2].known);
  }
}

TEST_P(StoreContract, AsManyEntitiesAsOneCallMayHave) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < FeatureReader::kMostEntities; ++i) names.push_back(std::to_string(i));
  Rows all;
  std::vector<Entity> entities;
  for (std::size_t i = 0; i < names.size(); ++i) {
    all.push_back({{names[i]}, {static_cast<std::int64_t>(i)}, kTime});
    entities.push_back({names[names.size() - 1 - i]});
  }
  fill({{"id"}}, {"a"}, all);
  const auto rows = read({{"a"}}, entities);
  std::size_t right = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    right += integer(rows[i], 0) == static_cast<std::int64_t>(rows.size() - 1 - i) ? 1 : 0;
  }
  EXPECT_EQ(right, names.size());
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, ::testing::ValuesIn(kStores), [](const auto& of) {
  std::string name = of.param.scheme;
  std::erase(name, '+');
  return name;
});

}  // namespace
}  // namespace sluice::features
