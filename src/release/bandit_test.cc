#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "release/builtin.h"
#include "release/option_types.h"
#include "routing/builtin.h"

namespace sluice::release {
namespace {

using json = nlohmann::ordered_json;
using namespace std::chrono_literals;

class BanditTest : public testing::Test {
 protected:
  BanditTest() { routing::register_builtin(algorithms_); }

  Result<std::unique_ptr<ReleasePolicy>> made(json options) {
    if (!options.contains("arms")) options["arms"] = {"v1", "v2"};
    return make_bandit()->make(node_of(options), {.algorithms = algorithms_, .seed = 5});
  }
  std::unique_ptr<ReleasePolicy> make(const json& options) {
    auto policy = made(options);
    return policy ? *std::move(policy) : nullptr;
  }

  static void pull(ReleasePolicy& policy, std::uint32_t arm, double reward) {
    Outcome outcome;
    outcome.choice.arm = arm;
    policy.observe(outcome, 0.5);
    policy.reward(
        {.arm = arm, .probability = 0.5, .share = 0.5, .reward = reward, .right = std::nullopt});
  }
  // What the next shares are, or nothing where they stay.
  static std::vector<double> shares(ReleasePolicy& policy, Millis passed = 1s) {
    const std::vector<double> now = {0.5, 0.5};
    return policy.next({.shares = now, .passed = passed}).shares.value_or(std::vector<double>{});
  }

  Registry<routing::BanditAlgorithm> algorithms_;
};

TEST_F(BanditTest, EveryArmKeepsItsLeastShare) {
  for (const auto& [options, least] :
       std::vector<std::pair<json, double>>{{json::object(), 0.01}, {{{"min_share", 0.2}}, 0.2}}) {
    const auto policy = make(options);
    ASSERT_TRUE(policy);
    for (int i = 0; i < 200; ++i) pull(*policy, i % 2 == 0 ? 0 : 1, i % 2 == 0 ? 1 : 0);
    const auto next = shares(*policy);
    ASSERT_EQ(next.size(), 2U);
    EXPECT_NEAR(next[1], least, 0.005);
    EXPECT_NEAR(next[0] + next[1], 1, 1e-9);
  }
}

TEST_F(BanditTest, NothingNewIsNoNewShares) {
  const auto policy = make({{"algorithm", "thompson"}});
  EXPECT_TRUE(shares(*policy).empty());
  pull(*policy, 0, 1);
  EXPECT_FALSE(shares(*policy).empty());
  EXPECT_TRUE(shares(*policy).empty());
}

TEST_F(BanditTest, RewardsFadeByTheDay) {
  const auto policy = make({{"discount", 0.5}});
  for (int i = 0; i < 80; ++i) pull(*policy, 0, 1);
  shares(*policy, 48h);
  EXPECT_NEAR(policy->evidence(0)["rewards"].get<double>(), 20, 1e-9);
  EXPECT_NEAR(policy->evidence(0)["avg_reward"].get<double>(), 1, 1e-12);
  EXPECT_EQ(policy->evidence(0)["count"], 80);
}

TEST_F(BanditTest, RewardsMustFitTheAlgorithm) {
  const auto unit = make({{"algorithm", "ucb1"}});
  EXPECT_TRUE(unit->check_reward(1));
  for (const double reward : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    ASSERT_FALSE(unit->check_reward(reward));
    EXPECT_EQ(unit->check_reward(reward).error().reason, "bad_reward");
  }
  const auto any = make({{"rewards", "gaussian"}});
  EXPECT_TRUE(any->check_reward(-17.5));
  EXPECT_FALSE(any->check_reward(std::numeric_limits<double>::infinity()));
}

TEST_F(BanditTest, ARestartGoesOnWithTheSameDecisions) {
  for (const char* algorithm : {"thompson", "epsilon_greedy", "ucb1"}) {
    const auto whole = make({{"algorithm", algorithm}});
    const auto second = make({{"algorithm", algorithm}});
    Random random(1);
    for (int i = 0; i < 200; ++i) {
      if (i == 100) second->restore(json::parse(whole->state().dump()));
      const auto arm = static_cast<std::uint32_t>(random.below(2));
      const double reward = random.uniform() < 0.5 ? 1 : 0;
      pull(*whole, arm, reward);
      const auto next = shares(*whole);
      if (i < 100) continue;
      pull(*second, arm, reward);
      EXPECT_EQ(shares(*second), next) << algorithm << " " << i;
    }
    EXPECT_EQ(second->state().dump(), whole->state().dump());
  }
}

TEST_F(BanditTest, WhatWasLearnedOfAnArmIsInherited) {
  const auto before = make({{"arms", {"v1", "v2"}}});
  for (int i = 0; i < 30; ++i) pull(*before, 1, 1);
  const auto after = make({{"arms", {"v2", "v3"}}});
  after->inherit(before->arms(), before->state());
  EXPECT_EQ(after->evidence(0)["rewards"], 30.0);
  EXPECT_EQ(after->evidence(1)["rewards"], 0.0);
}

TEST_F(BanditTest, RewardsThatAnAlgorithmDoesNotTakeAreNotInherited) {
  for (const double reward : {-5.0, 3.0}) {
    const auto before = make({{"algorithm", "epsilon_greedy"}});
    for (int i = 0; i < 3; ++i) pull(*before, 0, reward);
    for (int i = 0; i < 3; ++i) pull(*before, 1, 0.5);
    const auto after = make({{"algorithm", "thompson"}});
    after->inherit(before->arms(), before->state());
    EXPECT_EQ(after->evidence(0)["rewards"], 0.0);
    EXPECT_EQ(after->evidence(1)["rewards"], 3.0);
    EXPECT_EQ(shares(*after).size(), 2U);
  }
}

TEST_F(BanditTest, WhatItCannotBeIsSaid) {
  for (const auto& [options, part] :
       std::vector<std::pair<json, std::string>>{{{{"arms", {"v1"}}}, "at least two"},
                                                 {{{"arms", {"v1", "v1"}}}, "twice"},
                                                 {{{"algorithm", "oracle"}}, "epsilon_greedy"},
                                                 {{{"default_reward", 3}}, "0 to 1"}}) {
    const auto policy = made(options);
    ASSERT_FALSE(policy) << options;
    EXPECT_NE(policy.error().message.find(part), std::string::npos) << policy.error().message;
  }
}

}  // namespace
}  // namespace sluice::release
