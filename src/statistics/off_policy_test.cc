#include "statistics/off_policy.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace sluice::statistics {
namespace {

// By hand: weights 2, 4 and 2, rewards 1, 0 and 1: 4 / 8; the spread is the sum of
// w² (r - 1/2)² = (4 + 16 + 4) / 4 = 6.
TEST(OffPolicy, IsTheWeightedMean) {
  OffPolicySums sums;
  sums.add(0.5, 1);
  sums.add(0.25, 0);
  sums.add(0.5, 1);
  EXPECT_DOUBLE_EQ(sums.estimate(), 0.5);
  const double half = 1.96 * std::sqrt(6.0) / 8;
  EXPECT_NEAR(sums.interval().low, 0.5 - half, 1e-12);
  EXPECT_NEAR(sums.interval().high, 0.5 + half, 1e-12);
}

TEST(OffPolicy, NothingIsKnownOfNothing) {
  OffPolicySums sums;
  sums.add(0, 1);
  EXPECT_EQ(sums.estimate(), 0);
  EXPECT_EQ(sums.interval().high, 0);
}

// An arm whose rewards are better where it is chosen more often: the plain mean is wrong.
TEST(OffPolicy, CorrectsForTheChoice) {
  Random random(3);
  int covered = 0;
  for (int run = 0; run < 400; ++run) {
    OffPolicySums sums;
    for (int i = 0; i < 2'000; ++i) {
      const bool good = random.uniform() < 0.5;
      const double probability = good ? 0.8 : 0.1;
      if (random.uniform() < probability) {
        sums.add(probability, random.uniform() < (good ? 0.9 : 0.3) ? 1 : 0);
      }
    }
    const auto interval = sums.interval();
    covered += interval.low <= 0.6 && 0.6 <= interval.high ? 1 : 0;
  }
  EXPECT_GE(covered, 364);  // 91 %: 95 % less four standard deviations
}

}  // namespace
}  // namespace sluice::statistics
