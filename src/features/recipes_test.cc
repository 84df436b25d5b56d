#include "features/recipes.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::features {
namespace {

using Kind = Recipe::Kind;

FeatureData make(Kind kind, FeatureData first, FeatureData second = std::int64_t{0}) {
  Recipe recipe;
  recipe.kind = kind;
  recipe.edges = {0, 10, 100};
  recipe.unit_seconds = 86400;
  const bool two = kind == Kind::kRatio || kind == Kind::kDifference;
  return make_feature(recipe, first, two ? second : first, 10LL * 86400 * 1'000'000'000);
}

bool is_null(const FeatureData& data) { return std::holds_alternative<Null>(data); }
bool is_unreadable(const FeatureData& data) { return std::holds_alternative<Unreadable>(data); }

TEST(Recipes, Arithmetic) {
  EXPECT_EQ(std::get<double>(make(Kind::kRatio, std::int64_t{1}, 4.0)), 0.25);
  EXPECT_EQ(std::get<double>(make(Kind::kDifference, 1.5, true)), 0.5);
  EXPECT_DOUBLE_EQ(std::get<double>(make(Kind::kLog, std::exp(2.0))), 2);
}

TEST(Recipes, BucketsCountTheEdgesThatAreReached) {
  for (const auto& [value, bucket] : std::vector<std::pair<double, std::int64_t>>{
           {-1, 0}, {0, 1}, {9.99, 1}, {10, 2}, {100, 3}, {1e300, 3}, {-INFINITY, 0}}) {
    EXPECT_EQ(std::get<std::int64_t>(make(Kind::kBucket, value)), bucket) << value;
  }
  EXPECT_TRUE(is_null(make(Kind::kBucket, std::nan(""))));
}

TEST(Recipes, AgeOfEveryWayOfWritingATime) {
  EXPECT_EQ(std::get<double>(make(Kind::kAge, std::int64_t{86400})), 9);
  EXPECT_EQ(std::get<double>(make(Kind::kAge, 43200.0)), 9.5);
  EXPECT_EQ(std::get<double>(make(Kind::kAge, std::string("1970-01-02T00:00:00Z"))), 9);
  EXPECT_TRUE(is_unreadable(make(Kind::kAge, std::string("soon"))));
}

TEST(Recipes, WhatIsNoNumberIsMissing) {
  EXPECT_TRUE(is_null(make(Kind::kRatio, 1.0, 0.0)));
  EXPECT_TRUE(is_null(make(Kind::kRatio, 0.0, 0.0)));
  EXPECT_TRUE(is_null(make(Kind::kLog, 0.0)));
  EXPECT_TRUE(is_null(make(Kind::kLog, -1.0)));
  EXPECT_TRUE(is_null(make(Kind::kRatio, Null{}, 1.0)));
  EXPECT_TRUE(is_null(make(Kind::kDifference, 1.0, Absent{})));
  EXPECT_TRUE(is_unreadable(make(Kind::kRatio, std::string("x"), 1.0)));
}

}  // namespace
}  // namespace sluice::features
