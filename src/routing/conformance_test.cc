// What every bandit algorithm must do, whichever are registered.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "routing/builtin.h"

namespace sluice::routing {
namespace {

using Arms = std::vector<BanditArm>;

BanditArm arm(double count, double mean, double pending = 0) {
  return {{count, count * mean, count * (mean * mean + 0.04)}, pending};
}

// Situations: new, clear, close, equal, many arms, rewards that are still to come.
std::vector<Arms> situations() {
  return {{arm(0, 0), arm(0, 0)},
          {arm(50, 0.9), arm(40, 0.2)},
          {arm(200, 0.52), arm(180, 0.5), arm(220, 0.48)},
          {arm(30, 0.5), arm(30, 0.5), arm(30, 0.5), arm(30, 0.5)},
          {arm(10, 0.3), arm(0, 0), arm(20, 0.6), arm(5, 0.1), arm(40, 0.55)},
          {arm(20, 0.5, 30), arm(20, 0.5, 5), arm(2, 0.5)}};
}

// scipy.stats.chi2.isf(1e-4, 3)
constexpr double kChi3 = 21.10751346616021;

class BanditConformance : public testing::TestWithParam<std::string> {
 protected:
  BanditConformance() {
    register_builtin(registry_);
    algorithm_ = registry_.find(GetParam());
  }
  std::vector<BanditOptions> options() const {
    return {{.epsilon = 0.1}, {.epsilon = 0.3, .decay = 0.01}, {.epsilon = 0, .gaussian = true}};
  }

  Registry<BanditAlgorithm> registry_;
  const BanditAlgorithm* algorithm_ = nullptr;
};

TEST_P(BanditConformance, SharesSumToOne) {
  Random random(1);
  for (const auto& each : options()) {
    for (const auto& arms : situations()) {
      for (const std::size_t picks : {1, 7, 100'000}) {
        const auto shares = algorithm_->shares(arms, each, picks, random);
        ASSERT_EQ(shares.size(), arms.size());
        double sum = 0;
        for (const double share : shares) {
          EXPECT_GE(share, 0);
          sum += share;
        }
        EXPECT_NEAR(sum, 1, 1e-9);
      }
    }
  }
}

// Two samples: of picks, and of shares, which may be drawn themselves.
TEST_P(BanditConformance, SharesAreTheFrequencyOfPicks) {
  constexpr int kPicks = 20'000;
  constexpr int kShares = 60;
  Random random(2);
  for (const auto& each : options()) {
    for (const auto& arms : situations()) {
      std::vector<double> picked(arms.size());
      std::vector<double> sums(arms.size());
      std::vector<double> squares(arms.size());
      for (int i = 0; i < kPicks; ++i) picked[algorithm_->pick(arms, each, random)] += 1.0 / kPicks;
      for (int i = 0; i < kShares; ++i) {
        const auto shares = algorithm_->shares(arms, each, 1, random);
        for (std::size_t k = 0; k < arms.size(); ++k) {
          sums[k] += shares[k];
          squares[k] += shares[k] * shares[k];
        }
      }
      for (std::size_t k = 0; k < arms.size(); ++k) {
        const double stated = sums[k] / kShares;
        const double spread = std::max(0.0, squares[k] / kShares - stated * stated);
        const double variance = std::max(0.0, stated * (1 - stated)) / kPicks + spread / kShares;
        // 4.4 standard deviations: one in 10^5, of which there are some fifty.
        EXPECT_NEAR(picked[k], stated, 4.4 * std::sqrt(variance) + 1e-9) << "arm " << k;
      }
    }
  }
}

TEST_P(BanditConformance, TheSameSeedIsTheSameChoice) {
  for (const auto& arms : situations()) {
    Random one(3);
    Random other(3);
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(algorithm_->pick(arms, {}, one), algorithm_->pick(arms, {}, other));
      EXPECT_EQ(algorithm_->shares(arms, {}, 3, one), algorithm_->shares(arms, {}, 3, other));
    }
  }
}

TEST_P(BanditConformance, OneArmTakesEverything) {
  Random random(4);
  for (const auto& each : options()) {
    for (const auto& only : {arm(0, 0), arm(10, 0.3), arm(3, 0, 4)}) {
      const Arms arms{only};
      EXPECT_EQ(algorithm_->pick(arms, each, random), 0U);
      EXPECT_NEAR(algorithm_->shares(arms, each, 5, random)[0], 1, 1e-9);
    }
  }
}

TEST_P(BanditConformance, EqualArmsArePickedEquallyOften) {
  constexpr int kPicks = 20'000;
  Random random(5);
  for (const auto& each : {arm(0, 0), arm(30, 0.5)}) {
    const Arms arms(4, each);
    std::vector<double> picked(4);
    for (int i = 0; i < kPicks; ++i) picked[algorithm_->pick(arms, {}, random)] += 1;
    double chi = 0;
    for (const double count : picked) chi += std::pow(count - kPicks / 4.0, 2) / (kPicks / 4.0);
    EXPECT_LT(chi, kChi3);
  }
}

// 2,000 pulls of .8 and .3: the better arm gets most of them.
TEST_P(BanditConformance, TheBetterArmIsFound) {
  Random random(6);
  Arms arms(2);
  double better = 0;
  for (int i = 0; i < 2'000; ++i) {
    const auto choice = algorithm_->pick(arms, {}, random);
    better += choice == 1 ? 1 : 0;
    arms[choice].rewards.add(random.uniform() < (choice == 1 ? 0.8 : 0.3) ? 1 : 0);
  }
  EXPECT_GT(better, 1'700);
}

std::vector<std::string> names() {
  Registry<BanditAlgorithm> registry;
  register_builtin(registry);
  return registry.names();
}

INSTANTIATE_TEST_SUITE_P(All, BanditConformance, testing::ValuesIn(names()),
                         [](const auto& each) { return each.param; });

// Before the first reward has come, pulls go to all arms in turn.
TEST(Ucb1, PendingPullsKeepItFromFloodingOneArm) {
  Registry<BanditAlgorithm> registry;
  register_builtin(registry);
  Random random(7);
  Arms arms(5);
  for (int i = 0; i < 1'000; ++i) {
    arms[registry.find("ucb1")->pick(arms, {}, random)].pending += 1;
  }
  for (const auto& each : arms) EXPECT_NEAR(each.pending, 200, 1);
}

}  // namespace
}  // namespace sluice::routing
