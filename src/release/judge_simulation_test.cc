// A short version of `./dev bench release`, so that nobody makes the judge worse unnoticed. Seeds
// are fixed: it says the same every time.
#include <gtest/gtest.h>

#include <algorithm>

#include "release/analysis.h"
#include "release/testing/traffic.h"

namespace sluice::release {
namespace {

using testing::Durations;
using testing::Ending;
using testing::Traffic;

// Of `runs`, how many ended so.
std::uint64_t ended(const Traffic& traffic, std::uint64_t runs, Ending::Kind as) {
  std::uint64_t out = 0;
  for (std::uint64_t i = 0; i < runs; ++i) {
    Random random(i + 1);
    const auto judge = make_sequential({});
    out += testing::until_harmful(traffic, *judge, random).kind == as ? 1 : 0;
  }
  return out;
}

// The canary's requests from the first bad one until it was taken back.
std::uint64_t quantile_delay(const Traffic& traffic, std::uint64_t runs, double q) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t i = 0; i < runs; ++i) {
    Random random(i + 1);
    const auto judge = make_sequential({});
    const auto requests = testing::until_harmful(traffic, *judge, random).canary_requests;
    out.push_back(requests - std::min(requests, traffic.healthy));
  }
  std::ranges::sort(out);
  return out[static_cast<std::size_t>(q * static_cast<double>(runs - 1))];
}

// Alpha is 1 %: of 300 runs more than 8 (1 % and three standard errors) would be too many.
TEST(JudgeSimulation, HealthyCanariesAreKept) {
  const std::vector<Traffic> cells = {
      {.share = 0.1, .limit = 20'000},
      {.share = 0.5, .stable_errors = 0.05, .canary_errors = 0.05, .limit = 20'000},
      {.share = 0.1, .swing = 10, .limit = 20'000},
      {.ramp = {0.01, 0.05, 0.25, 0.5}, .limit = 20'000},
      {.share = 0.5, .burst = 2, .limit = 20'000},
      {.share = 0.5, .burst = 5, .limit = 20'000},
      {.share = 0.5, .burst = 20, .limit = 20'000},
  };
  for (std::size_t i = 0; i < cells.size(); ++i) {
    EXPECT_LE(ended(cells[i], 300, Ending::Kind::kHarmful), 8U) << "cell " << i;
  }
}

TEST(JudgeSimulation, CanariesAsSlowAsAllowedAreKept) {
  for (const double sigma : {0.7, 1.2}) {
    const Traffic traffic{.limit = 3'000, .durations = Durations{.sigma = sigma, .times = 1.5}};
    EXPECT_LE(ended(traffic, 100, Ending::Kind::kHarmful), 4U) << sigma;
  }
}

TEST(JudgeSimulation, BadCanariesAreFoundSoon) {
  constexpr std::uint64_t kRuns = 500;
  for (const std::uint64_t healthy : {0, 50}) {
    const auto worse = [&](double rate) {
      return Traffic{.canary_errors = rate, .healthy = healthy, .limit = 20'000};
    };
    EXPECT_LE(quantile_delay(worse(0.10), kRuns, 0.5), 85U) << healthy;
    EXPECT_LE(quantile_delay(worse(0.03), kRuns, 0.5), 800U) << healthy;
    EXPECT_LE(quantile_delay(worse(1.00), kRuns, 0.99), 10U) << healthy;
  }
  const Traffic slow{.limit = 20'000, .durations = Durations{.times = 2}};
  EXPECT_LE(quantile_delay(slow, 200, 0.5), 265U);
}

// What a likelihood from the first event on would need five hundred for.
TEST(JudgeSimulation, ALongGoodPastDoesNotHideWhatComes) {
  const Traffic traffic{.canary_errors = 0.1, .healthy = 5'000, .limit = 20'000};
  EXPECT_LE(quantile_delay(traffic, 200, 0.5), 230U);
}

TEST(JudgeSimulation, BadCanariesAreNotPromoted) {
  std::uint64_t promoted = 0;
  constexpr std::uint64_t kRuns = 100;
  for (std::uint64_t i = 0; i < kRuns; ++i) {
    Random random(i + 1);
    const Traffic failing{.canary_errors = 0.02, .limit = 4'000, .durations = Durations{}};
    const Traffic slow{.limit = 2'000, .durations = Durations{.times = 2}};
    for (const auto* traffic : {&failing, &slow}) {
      const auto judge = make_sequential({});
      const auto kind = testing::until_decided(*traffic, *judge, random).kind;
      promoted += kind == Ending::Kind::kSafe ? 1 : 0;
    }
  }
  EXPECT_LE(promoted, 2 * kRuns * 5 / 100);
}

// The other side: a judge that never lets anybody through would pass all of the above.
TEST(JudgeSimulation, HealthyCanariesArePromoted) {
  std::uint64_t promoted = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    Random random(i + 1);
    const Traffic traffic{.limit = 10'000, .durations = Durations{}};
    const auto judge = make_sequential({});
    const auto kind = testing::until_decided(traffic, *judge, random).kind;
    promoted += kind == Ending::Kind::kSafe ? 1 : 0;
  }
  EXPECT_GE(promoted, 30U);
}

// The seed's rule, beside: it takes healthy canaries back.
TEST(JudgeSimulation, TheSeedsRuleIsAsUnsoundAsItIsSaidToBe) {
  std::uint64_t harmed = 0;
  const Traffic traffic{.share = 0.5, .limit = 10'000};
  for (std::uint64_t i = 0; i < 200; ++i) {
    Random random(i + 1);
    const auto judge = make_seed_rule();
    harmed += testing::until_harmful(traffic, *judge, random).kind == Ending::Kind::kHarmful;
  }
  EXPECT_GT(harmed, 60U);
}

}  // namespace
}  // namespace sluice::release
