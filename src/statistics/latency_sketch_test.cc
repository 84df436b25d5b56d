#include "statistics/latency_sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace sluice::statistics {
namespace {

TEST(LatencySketch, QuantilesAreWithinTheBucket) {
  Random random(2);
  std::vector<double> values;
  LatencySketch sketch;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(std::exp(20 * random.uniform() - 7));
    sketch.add(values.back());
  }
  std::ranges::sort(values);
  for (const double q : {0.0, 0.01, 0.5, 0.95, 0.999, 1.0}) {
    const auto exact = values[static_cast<std::size_t>(q * 19'999)];
    EXPECT_NEAR(sketch.quantile(q) / exact, 1, 0.0055) << q;
  }
}

TEST(LatencySketch, TextAndBackAndTogether) {
  LatencySketch one;
  LatencySketch other;
  for (int i = 1; i < 200; ++i) (i % 3 == 0 ? one : other).add(i * 0.7);
  LatencySketch read;
  read.restore(one.text());
  EXPECT_EQ(read.text(), one.text());
  EXPECT_EQ(read.count(), one.count());
  read.merge(other);
  EXPECT_EQ(read.count(), 199U);
  EXPECT_NEAR(read.quantile(0.5) / 70, 1, 0.01);
}

TEST(LatencySketch, WhatCannotBeReadOrMeasuredDoesNoHarm) {
  LatencySketch sketch;
  sketch.restore("x,1:,:2,99999999:1,5:7");
  EXPECT_EQ(sketch.count(), 7U);
  for (const double odd : {0.0, -1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    sketch.add(odd);
  }
  EXPECT_EQ(sketch.count(), 11U);
  EXPECT_EQ(LatencySketch().quantile(0.5), 0);
}

}  // namespace
}  // namespace sluice::statistics
