#include "statistics/posterior.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sluice::statistics {
namespace {

// scipy 1.10: scipy.special.betainc(a, b, x).
TEST(Posterior, IncompleteBetaIsScipys) {
  struct Case {
    double a, b, x, expected;
  };
  const std::vector<Case> cases = {
      {1, 1, 0.3, 0.3},
      {2, 3, 0.4, 0.5247999999999999},
      {0.5, 0.5, 0.1, 0.2048327646991335},
      {10, 1, 0.9, 0.3486784401000001},
      {1, 2000, 0.001, 0.8648000746022281},
      {3, 2998, 0.001, 0.5769219989382681},
      {501, 9501, 0.05, 0.48902005047485797},
      {10000, 10000, 0.5, 0.5},
      {50000, 50000, 0.499, 0.26354493826665765},
      {0.5, 30, 0.01, 0.5606656310947489},
      {120.5, 0.5, 0.999, 0.6237580331564294},
  };
  for (const auto& each : cases) {
    EXPECT_NEAR(beta_below(each.a, each.b, each.x), each.expected, 1e-9)
        << each.a << " " << each.b << " " << each.x;
    EXPECT_NEAR(beta_below(each.b, each.a, 1 - each.x), 1 - each.expected, 1e-9);
  }
  EXPECT_EQ(beta_below(2, 3, 0), 0);
  EXPECT_EQ(beta_below(2, 3, 1), 1);
}

// scipy 1.10: scipy.stats.beta.interval(0.95, 1 + s, 1 + n - s).
TEST(Posterior, BernoulliIntervalIsScipys) {
  struct Case {
    double count, sum, low, high;
  };
  const std::vector<Case> cases = {
      {0, 0, 0.025, 0.975},
      {1, 1, 0.15811388300841903, 0.9874208829065749},
      {10, 3, 0.10926344381909814, 0.6097425595724212},
      {100, 97, 0.9156431017238775, 0.9891055162831897},
      {10000, 512, 0.047052634400205164, 0.055696795361493065},
      {50, 0, 0.0004963044077377714, 0.06977703074953864},
      {12.5, 4.25, 0.1451681702199864, 0.6149275109234494},
  };
  for (const auto& each : cases) {
    const auto interval = bernoulli_interval({each.count, each.sum, each.sum}, 0.95);
    EXPECT_NEAR(interval.low, each.low, 1e-9) << each.count;
    EXPECT_NEAR(interval.high, each.high, 1e-9) << each.count;
  }
}

// scipy 1.10, with n, m and S the count, mean and sum of squared deviations, k = 1 + n,
// a = 1 + n / 2, r = .5 + S / 2 + n * m * m / (2 * k):
//   scipy.stats.t.interval(.95, df=2 * a, loc=n * m / k, scale=sqrt(r / (a * k)))
TEST(Posterior, GaussianIntervalIsScipys) {
  struct Case {
    std::vector<double> rewards;
    double low, high;
  };
  const std::vector<Case> cases = {
      {{}, -3.0424349224110734, 3.0424349224110734},
      {{2}, -1.250329363228576, 3.250329363228576},
      {{1, 2, 3, 4}, 0.5183212949121041, 3.481678705087896},
      {{-5.5, 7.25, 100, 3.5, 0}, -15.598848786520957, 50.68218211985429},
  };
  for (const auto& each : cases) {
    RewardSums sums;
    for (const double reward : each.rewards) sums.add(reward);
    const auto interval = gaussian_interval(sums, 0.95);
    EXPECT_NEAR(interval.low, each.low, 1e-7);
    EXPECT_NEAR(interval.high, each.high, 1e-7);
  }
}

// Of 20,000 draws as many lie below the interval, within it and above it as should.
template <class Draw>
void expect_interval(const Interval& interval, Draw draw) {
  constexpr int kDraws = 20'000;
  Random random(1);
  int below = 0;
  int above = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = draw(random);
    below += value < interval.low ? 1 : 0;
    above += value > interval.high ? 1 : 0;
  }
  const double room = 4 * std::sqrt(kDraws * 0.025 * 0.975);
  EXPECT_NEAR(below, kDraws * 0.025, room);
  EXPECT_NEAR(above, kDraws * 0.025, room);
}

TEST(Posterior, DrawsAreOfThePosterior) {
  const RewardSums shots{10, 3, 3};
  expect_interval(bernoulli_interval(shots, 0.95),
                  [&](Random& random) { return draw_bernoulli_mean(shots, random); });
  RewardSums sums;
  for (const double reward : {-5.5, 7.25, 100.0, 3.5, 0.0}) sums.add(reward);
  expect_interval(gaussian_interval(sums, 0.95),
                  [&](Random& random) { return draw_gaussian_mean(sums, random); });
}

}  // namespace
}  // namespace sluice::statistics
