#include "telemetry/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "base/random.h"
#include "telemetry/buckets.h"
#include "telemetry/cells.h"

namespace sluice {
namespace {

TEST(DurationBuckets, EveryNumberLiesWithinItsBucketAndTheMiddleIsWithinOnePercent) {
  Random random(7);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t ns = random() >> (24 + random.below(40));
    const auto bucket = DurationBuckets::of(ns);
    ASSERT_LE(DurationBuckets::least(bucket), ns);
    ASSERT_LT(ns, DurationBuckets::least(bucket + 1));
    ASSERT_LT(bucket, DurationBuckets::kBlocks * 64);
    if (ns < 64) continue;
    ASSERT_NEAR(DurationBuckets::middle(bucket) / static_cast<double>(ns), 1, 0.01) << ns;
  }
}

TEST(DurationBuckets, BucketsFollowEachOtherWithoutAGap) {
  for (std::size_t i = 0; i + 1 < DurationBuckets::kBlocks * 64; ++i) {
    ASSERT_EQ(DurationBuckets::of(DurationBuckets::least(i)), i);
    ASSERT_EQ(DurationBuckets::of(DurationBuckets::least(i + 1) - 1), i);
  }
  const auto last = DurationBuckets::of(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(last, DurationBuckets::kBlocks * 64 - 1);
}

TEST(ValueBuckets, KeepSignOrderAndSize) {
  Random random(8);
  std::vector<double> values;
  for (int i = 0; i < 100'000; ++i) {
    const double size = std::exp2(random.uniform() * 78 - 39);
    values.push_back(random.below(2) == 0 ? size : -size);
  }
  std::ranges::sort(values);
  std::size_t before = 0;
  for (const double value : values) {
    const auto bucket = ValueBuckets::of(value);
    ASSERT_GE(bucket, before);
    ASSERT_LT(bucket, ValueBuckets::kBlocks * 64);
    ASSERT_NEAR(ValueBuckets::middle(bucket) / value, 1, 0.0626) << value;
    before = bucket;
  }
  EXPECT_EQ(ValueBuckets::of(0), ValueBuckets::kZero);
  EXPECT_EQ(ValueBuckets::of(-0.0), ValueBuckets::kZero);
  EXPECT_EQ(ValueBuckets::of(1e300), ValueBuckets::kZero + ValueBuckets::kSide);
  EXPECT_EQ(ValueBuckets::of(-std::numeric_limits<double>::infinity()), 0U);
}

TEST(Histogram, QuantilesAreWithinOnePercentOfTheSortedValues) {
  Random random(9);
  Histogram<DurationBuckets> histogram;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 100'000; ++i) {
    all.push_back(static_cast<std::uint64_t>(1000 * std::exp(6 * random.uniform())));
    histogram.add(DurationBuckets::of(all.back()), 1);
  }
  std::ranges::sort(all);
  for (const double q : {0.0, 0.01, 0.5, 0.95, 0.99, 0.999, 1.0}) {
    const auto exact = static_cast<double>(all[static_cast<std::size_t>(q * 99'999 + 0.5)]);
    EXPECT_NEAR(histogram.quantile(q) / exact, 1, 0.01) << q;
  }
  EXPECT_EQ(Histogram<DurationBuckets>().quantile(0.5), 0);
}

TEST(Histogram, MergesAndTellsWhatCameBetween) {
  Histogram<DurationBuckets> early, late;
  early.add(10, 3);
  early.add(20, 1);
  late.merge(early);
  late.add(20, 4);
  late.add(30, 2);
  const auto between = late.since(early);
  EXPECT_EQ(between.count(), 6U);
  EXPECT_EQ(between.counts().at(20), 4U);
  EXPECT_EQ(between.counts().at(30), 2U);
  EXPECT_FALSE(between.counts().contains(10));
}

TEST(Cells, NothingThatManyThreadsCountIsLost) {
  Cells<4> cells;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < 40'000; ++i) cells.at(i % Cells<4>::kCount).bump(1);
    });
  }
  for (auto& thread : threads) thread.join();
  std::uint64_t total = 0;
  cells.each([&](std::size_t, std::uint64_t count) { total += count; });
  EXPECT_EQ(total, 160'000U);
}

}  // namespace
}  // namespace sluice
