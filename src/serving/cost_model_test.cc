#include "serving/cost_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace sluice::serving {
namespace {

using Nanos = CostModel::Nanos;

double micros(Nanos nanos) { return static_cast<double>(nanos.count()) / 1000; }

// Run times with a long tail, as they are: most near 400 µs, some twice that.
std::vector<Nanos> stream(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> times(std::log(400'000.0), 0.4);
  std::vector<Nanos> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.emplace_back(static_cast<std::int64_t>(times(random)));
  }
  return out;
}

double quantile(std::vector<Nanos> times, double share) {
  std::ranges::sort(times);
  return micros(times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))]);
}

TEST(CostModel, NothingIsKnownAtFirst) {
  const CostModel costs;
  EXPECT_EQ(costs.median(1), Nanos(0));
  EXPECT_EQ(costs.slow(1000), Nanos(0));
}

TEST(CostModel, FollowsTheMedianAndThe90thPercentile) {
  CostModel costs;
  const auto times = stream(20'000, 1);
  // An estimate moves with each observation; where it rests is its average.
  double median = 0;
  double slow = 0;
  constexpr std::size_t kSettled = 2000;
  for (std::size_t i = 0; i < times.size(); ++i) {
    costs.observe(4, times[i]);
    if (i < kSettled) continue;
    median += micros(costs.median(4));
    slow += micros(costs.slow(4));
  }
  const auto counted = static_cast<double>(times.size() - kSettled);
  EXPECT_NEAR(median / counted, quantile(times, 0.5), 0.05 * quantile(times, 0.5));
  EXPECT_NEAR(slow / counted, quantile(times, 0.9), 0.08 * quantile(times, 0.9));
}

TEST(CostModel, ComesDownAndGoesUpWhenTheModelChanges) {
  CostModel costs;
  for (int i = 0; i < 10; ++i) costs.observe(1, Nanos(10'000'000));
  EXPECT_NEAR(micros(costs.median(1)), 10'000, 1000);
  for (int i = 0; i < 300; ++i) costs.observe(1, Nanos(1'000'000));
  EXPECT_NEAR(micros(costs.median(1)), 1000, 60);
  for (int i = 0; i < 300; ++i) costs.observe(1, Nanos(10'000'000));
  EXPECT_NEAR(micros(costs.median(1)), 10'000, 600);
  EXPECT_NEAR(micros(costs.slow(1)), 10'000, 1000);
}

TEST(CostModel, OneRunThatWasInterruptedMovesLittle) {
  CostModel costs;
  for (const auto time : stream(1000, 2)) costs.observe(1, time);
  const double median = micros(costs.median(1));
  const double slow = micros(costs.slow(1));
  costs.observe(1, std::chrono::seconds(3));
  EXPECT_GT(micros(costs.median(1)), median);
  EXPECT_LT(micros(costs.median(1)), 1.04 * median);
  EXPECT_LT(micros(costs.slow(1)), 1.07 * slow);
}

TEST(CostModel, TwoInARowThatAreFarOffAreBelieved) {
  CostModel costs;
  costs.set(1, Nanos(1'000'000));
  costs.observe(1, Nanos(9'000'000));
  costs.observe(1, Nanos(7'000'000));
  EXPECT_EQ(costs.median(1), Nanos(7'000'000)) << "the nearer of them";
  costs.observe(1, Nanos(500'000));
  costs.observe(1, Nanos(800'000));
  EXPECT_EQ(costs.median(1), Nanos(800'000));
  costs.observe(1, Nanos(9'000'000));
  costs.observe(1, Nanos(800'000));
  costs.observe(1, Nanos(9'000'000));
  costs.observe(1, Nanos(100'000));
  costs.observe(1, Nanos(9'000'000));
  EXPECT_NEAR(micros(costs.median(1)), 800, 80) << "not in a row, or not to one side";
}

TEST(CostModel, WarmingUpReplacesWhatWasLearned) {
  CostModel costs;
  costs.observe(1, std::chrono::seconds(1));
  costs.set(1, Nanos(5000));
  EXPECT_EQ(costs.median(1), Nanos(5000));
  EXPECT_EQ(costs.slow(1), Nanos(5000));
}

TEST(CostModel, SizesShareAPowerOfTwo) {
  CostModel costs;
  costs.set(1, Nanos(1));
  costs.set(2, Nanos(2));
  costs.set(4, Nanos(4));
  costs.set(8, Nanos(8));
  for (const auto& [rows, took] : std::vector<std::pair<std::size_t, int>>{
           {0, 1}, {1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {8, 8}}) {
    EXPECT_EQ(costs.median(rows), Nanos(took)) << rows << " rows";
  }
}

TEST(CostModel, SizesThatNeverRanAreAnsweredFromTheirNeighbours) {
  CostModel costs;
  costs.set(4, Nanos(1000));
  EXPECT_EQ(costs.median(8), Nanos(2000)) << "as if time grew with the rows";
  EXPECT_EQ(costs.median(32), Nanos(8000));
  EXPECT_EQ(costs.median(1), Nanos(1000)) << "fewer rows take no longer";
  costs.set(64, Nanos(3000));
  EXPECT_EQ(costs.median(32), Nanos(3000)) << "nor longer than more rows do";
  EXPECT_EQ(costs.median(8), Nanos(2000));
  EXPECT_EQ(costs.slow(16), Nanos(3000));
}

TEST(CostModel, SizesBeyondAllBoundsAreAnsweredToo) {
  CostModel costs;
  costs.set(1, Nanos(1000));
  const auto most = costs.median(static_cast<std::size_t>(-1));
  EXPECT_GE(most, costs.median(1 << 20));
  costs.observe(static_cast<std::size_t>(-1), Nanos(7));
  EXPECT_EQ(costs.median(static_cast<std::size_t>(-1) / 2), Nanos(7));
}

TEST(CostModel, TimesThatAreNoneCountAsTheShortest) {
  CostModel costs;
  costs.observe(1, Nanos(0));
  costs.observe(2, Nanos(-5));
  EXPECT_EQ(costs.median(1), Nanos(1));
  EXPECT_EQ(costs.median(2), Nanos(1));
}

}  // namespace
}  // namespace sluice::serving
