#include "engines/largest_label.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace sluice::engines {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Of two rows of three classes; empty where one is undecided.
std::vector<std::int64_t> labels(const std::vector<double>& scores) {
  const std::vector<std::int64_t> names = {-5, 0, 7};
  std::vector<std::int64_t> out(2);
  if (!largest_labels(scores, names, out)) out.clear();
  return out;
}

using Labels = std::vector<std::int64_t>;

TEST(LargestLabel, IsOfTheLargest) {
  EXPECT_EQ(labels({0.1, 0.2, 0.7, 0.5, 0.3, 0.2}), (Labels{7, -5}));
  EXPECT_EQ(labels({0.4, 0.4, 0.2 + 0.6, -3, -1, -2}), (Labels{7, 0})) << "equals that lose";
  EXPECT_EQ(labels({-kInfinity, 0, -kInfinity, 1, 2, 3}), (Labels{0, 7}));
}

TEST(LargestLabel, EqualsDecideNothing) {
  EXPECT_EQ(labels({0.4, 0.2, 0.4, 0.5, 0.3, 0.2}), Labels());
  EXPECT_EQ(labels({0.5, 0.3, 0.2, 0.2, 0.4, 0.4}), Labels()) << "in the last row";
  EXPECT_EQ(labels({0.0, -0.0, -1, 0.5, 0.3, 0.2}), Labels());
}

TEST(LargestLabel, WhatIsNoNumberDecidesNothing) {
  EXPECT_EQ(labels({kNan, 0.2, 0.7, 0.5, 0.3, 0.2}), Labels());
  EXPECT_EQ(labels({0.1, 0.7, kNan, 0.5, 0.3, 0.2}), Labels());
  EXPECT_EQ(labels({0.1, 0.2, kInfinity, 0.5, 0.3, 0.2}), Labels());
  EXPECT_EQ(labels({-kInfinity, -kInfinity, -kInfinity, 0.5, 0.3, 0.2}), Labels());
}

}  // namespace
}  // namespace sluice::engines
