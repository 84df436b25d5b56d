#include "tools/bench/load_result.h"

#include <gtest/gtest.h>

namespace sluice::tools {
namespace {

constexpr float kLimit = 100'000;  // microseconds

TEST(LoadResult, OnlyA2xxInTimeIsGood) {
  LoadResult result;
  result.count(200, 99'999, kLimit);
  result.count(204, kLimit, kLimit);
  result.count(200, 100'001, kLimit);
  result.count(503, 50, kLimit);
  result.count(503, 200'000, kLimit);
  EXPECT_EQ(result.answered, 5U);
  EXPECT_EQ(result.good, 2U);
  EXPECT_EQ(result.late, 1U);
  EXPECT_EQ(result.refused, 2U);
  EXPECT_EQ(result.micros.size(), 5U);
  EXPECT_EQ(result.good_micros.size(), 2U);
}

TEST(LoadResult, WithoutALimitNothingIsLate) {
  LoadResult result;
  result.count(200, 1e9, 0);
  result.count(404, 1, 0);
  EXPECT_EQ(result.good, 1U);
  EXPECT_EQ(result.late, 0U);
}

TEST(LoadResult, QuantilesOfAllAndOfGoodOnes) {
  LoadResult result;
  for (int i = 100; i >= 1; --i) result.count(i % 2 == 0 ? 200 : 503, static_cast<float>(i), 0);
  result.sort();
  EXPECT_EQ(result.quantile(0), 1);
  EXPECT_EQ(result.quantile(0.5), 50);
  EXPECT_EQ(result.quantile(0.99), 99);
  EXPECT_EQ(result.quantile(1), 100);
  EXPECT_EQ(result.good_quantile(0.5), 50);
  EXPECT_EQ(result.good_quantile(0.99), 100);
  EXPECT_EQ(result.good_quantile(0), 2);
}

TEST(LoadResult, NothingMeasuredIsZero) {
  LoadResult result;
  EXPECT_EQ(result.quantile(0.5), 0);
  EXPECT_EQ(result.good_quantile(0.99), 0);
  EXPECT_EQ(result.per_second(), 0);
  EXPECT_EQ(result.goodput(), 0);
}

TEST(LoadResult, TwoMeasurementsAreOne) {
  LoadResult first;
  first.count(200, 3, 0);
  first.seconds = 1;
  first.missed = 2;
  LoadResult second;
  second.count(200, 1, 0);
  second.count(500, 2, 0);
  second.seconds = 1;
  second.failed = 1;
  first.add(second);
  first.sort();
  EXPECT_EQ(first.answered, 3U);
  EXPECT_EQ(first.missed, 2U);
  EXPECT_EQ(first.failed, 1U);
  EXPECT_EQ(first.per_second(), 1.5);
  EXPECT_EQ(first.goodput(), 1);
  EXPECT_EQ(first.quantile(0.5), 2);
}

}  // namespace
}  // namespace sluice::tools
