#include "observers/traffic_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "observers/testing/spoken.h"

namespace sluice::observers {
namespace {

struct Fixture {
  ServingTables tables{std::make_shared<const ServingTable>()};
  TrafficRows rows{tables, 7};
  testing::Spoken servable;

  explicit Fixture(Privacy features = Privacy::kFull) {
    ModelConfig config;
    config.log.features = features;
    auto table = std::make_shared<ServingTable>();
    table->models.emplace(servable.model().str(),
                          std::make_shared<const ModelEntry>(
                              ModelEntry{servable.model(), config, {}, {}, {}, {}, false}));
    tables.publish(std::move(table));
  }
  void ask(const std::vector<float>& values, std::size_t count = 1) {
    Record record;
    record.head.rows = count;
    record.model = servable.model().str();
    record.version = servable.version().str();
    record.inputs = {
        {DType::kFloat32,
         {static_cast<std::int64_t>(count), static_cast<std::int64_t>(values.size() / count)},
         std::as_bytes(std::span(values)),
         {}}};
    rows.take(record);
  }
};

TEST(TrafficRows, TooFewAreNone) {
  Fixture fixture;
  for (int i = 0; i < 9; ++i) fixture.ask({1, 2});
  EXPECT_TRUE(fixture.rows.rows(fixture.servable, 2, 100).empty());
  fixture.ask({1, 2});
  EXPECT_EQ(fixture.rows.rows(fixture.servable, 2, 100).size(), 20U);
  EXPECT_EQ(fixture.rows.rows(fixture.servable, 2, 3).size(), 6U);
  EXPECT_TRUE(fixture.rows.rows(fixture.servable, 3, 100).empty()) << "of another width";
}

TEST(TrafficRows, AreASampleOfAllThatCame) {
  Fixture fixture;
  for (int i = 0; i < 5000; ++i) fixture.ask({static_cast<float>(i)});
  const auto kept = fixture.rows.rows(fixture.servable, 1, 1000);
  ASSERT_EQ(kept.size(), TrafficRows::kMost);
  const double mean = std::accumulate(kept.begin(), kept.end(), 0.0) / 100;
  EXPECT_NEAR(mean, 2500, 4 * 1443 / 10.0);  // four standard errors of 100 of a uniform
}

TEST(TrafficRows, OldOnesMakeWay) {
  Fixture fixture;
  for (int i = 0; i < 5000; ++i) fixture.ask({0});
  for (int i = 0; i < 50'000; ++i) fixture.ask({1});
  const auto kept = fixture.rows.rows(fixture.servable, 1, 1000);
  EXPECT_GT(std::accumulate(kept.begin(), kept.end(), 0.0), 95);
}

TEST(TrafficRows, OneOfARequestsRowsAndAnotherWidthBeginsAnew) {
  Fixture fixture;
  for (int i = 0; i < 20; ++i) fixture.ask({1, 2, 3, 4, 5, 6}, 3);
  for (const double value : fixture.rows.rows(fixture.servable, 2, 5)) {
    EXPECT_TRUE(value >= 1 && value <= 6);
  }
  for (int i = 0; i < 20; ++i) fixture.ask({1, 2, 3});
  EXPECT_TRUE(fixture.rows.rows(fixture.servable, 2, 5).empty());
  EXPECT_EQ(fixture.rows.rows(fixture.servable, 3, 5).size(), 15U);
}

TEST(TrafficRows, RowsWithMissingNumbersAreNotOrdinary) {
  Fixture fixture;
  for (int i = 0; i < 20; ++i) fixture.ask({1, i % 2 == 0 ? std::nanf("") : 2});
  EXPECT_EQ(fixture.rows.rows(fixture.servable, 2, 100).size(), 20U) << "ten whole rows";
}

TEST(TrafficRows, WhatMayNotBeWrittenDownIsNotComparedWith) {
  Fixture fixture(Privacy::kHashed);
  for (int i = 0; i < 20; ++i) fixture.ask({1});
  EXPECT_TRUE(fixture.rows.rows(fixture.servable, 1, 5).empty());
}

TEST(TrafficRows, VersionsThatAreGoneAreForgotten) {
  Fixture fixture;
  for (int i = 0; i < 20; ++i) fixture.ask({1});
  fixture.tables.publish(std::make_shared<const ServingTable>());
  fixture.rows.tick();
  EXPECT_TRUE(fixture.rows.rows(fixture.servable, 1, 5).empty());
}

}  // namespace
}  // namespace sluice::observers
