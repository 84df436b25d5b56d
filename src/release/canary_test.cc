#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "release/builtin.h"
#include "release/option_types.h"
#include "routing/builtin.h"

namespace sluice::release {
namespace {

using json = nlohmann::ordered_json;
using namespace std::chrono_literals;

class CanaryTest : public testing::Test {
 protected:
  CanaryTest() { routing::register_builtin(algorithms_); }

  Result<std::unique_ptr<ReleasePolicy>> made(json options) {
    if (options.is_null()) options = json::object();
    if (!options.contains("stable")) options["stable"] = "v1";
    if (!options.contains("canary")) options["canary"] = "v2";
    return make_canary()->make(node_of(options), {.algorithms = algorithms_, .seed = 1});
  }
  void make(const json& options) {
    auto policy = made(options);
    ASSERT_TRUE(policy) << policy.error().message;
    policy_ = *std::move(policy);
    shares_ = policy_->start();
  }

  void observe(std::uint32_t arm, Ending ending, int count = 1, float millis = 10,
               bool recalled = false) {
    for (int i = 0; i < count; ++i) {
      Outcome outcome;
      outcome.choice.arm = arm;
      outcome.ending = ending;
      outcome.millis = millis + static_cast<float>(i % 10);
      outcome.recalled = recalled;
      policy_->observe(outcome, shares_[1]);
    }
  }
  // Nine of stable's for each of the canary's, all good.
  void good(int count) {
    for (int i = 0; i < count; ++i) {
      observe(0, Ending::kAnswered, 9);
      observe(1, Ending::kAnswered, 1, 10 + static_cast<float>(i % 10));
    }
  }
  Next next(Millis passed, bool mismatch = false) {
    auto out =
        policy_->next({.state = state_, .shares = shares_, .passed = passed, .mismatch = mismatch});
    take(out);
    return out;
  }
  Result<Next> command(Command command, std::string_view version = "") {
    auto out = policy_->command(command, version, {.state = state_, .shares = shares_});
    if (out) take(*out);
    return out;
  }
  void take(const Next& next) {
    if (next.shares) shares_ = *next.shares;
    if (next.decision) state_ = next.decision->state;
  }
  json arm_of(const std::string& metric, const char* arm) {
    const auto metrics = policy_->summary(State::kRunning)["metrics"];
    for (const auto& each : metrics) {
      if (each["metric"] == metric) return each[arm];
    }
    return {};
  }

  Registry<routing::BanditAlgorithm> algorithms_;
  std::unique_ptr<ReleasePolicy> policy_;
  std::vector<double> shares_;
  State state_ = State::kRunning;
};

TEST_F(CanaryTest, BeginsWithItsStart) {
  make({{"start", 7}});
  EXPECT_NEAR(shares_[0], 0.93, 1e-12);
  EXPECT_NEAR(shares_[1], 0.07, 1e-12);
  EXPECT_EQ(policy_->arms()[1].str(), "v2");
}

// What is the client's fault, or an overload's, is none of the version's.
TEST_F(CanaryTest, MistakesAndShedRequestsSayNothing) {
  make({});
  observe(0, Ending::kAnswered, 1'000);
  const auto before = policy_->state().dump();
  observe(1, Ending::kMistake, 500);
  observe(1, Ending::kShed, 500);
  observe(0, Ending::kMistake, 3);
  EXPECT_EQ(policy_->state().dump(), before);
  EXPECT_FALSE(next(1s).decision);
  observe(1, Ending::kFailed, 20);
  const auto decided = next(1s);
  ASSERT_TRUE(decided.decision);
  EXPECT_EQ(decided.decision->word, "rollback");
  EXPECT_EQ(shares_, (std::vector<double>{1, 0}));
  EXPECT_EQ(arm_of("errors", "canary")["bad"], 20);
}

TEST_F(CanaryTest, AnswersFromTheCacheSayNothingOfSpeed) {
  make({});
  good(100);
  const auto speed = arm_of("latency", "canary");
  observe(1, Ending::kAnswered, 300, 10'000, /*recalled=*/true);
  EXPECT_EQ(arm_of("latency", "canary"), speed);
  EXPECT_EQ(arm_of("errors", "canary")["requests"], 400);
  observe(1, Ending::kAnswered, 300, 10'000);
  EXPECT_NE(arm_of("latency", "canary"), speed);
}

TEST_F(CanaryTest, StepsUpToItsTargetAndIsPromotedThere) {
  make({{"start", 10}, {"step", 20}, {"target", 50}, {"interval", "60s"}});
  EXPECT_FALSE(next(59s).decision);
  EXPECT_EQ(next(1s).decision->word, "step");
  EXPECT_NEAR(shares_[1], 0.3, 1e-12);
  EXPECT_FALSE(next(59s).decision);
  EXPECT_EQ(next(1s).decision->word, "step");
  EXPECT_NEAR(shares_[1], 0.5, 1e-12);
  // At the target it needs evidence.
  EXPECT_FALSE(next(120s).decision);
  good(3'000);
  const auto promoted = next(1s);
  ASSERT_TRUE(promoted.decision) << policy_->summary(State::kRunning)["verdict_reason"];
  EXPECT_EQ(promoted.decision->word, "promote");
  EXPECT_EQ(shares_, (std::vector<double>{0, 1}));
}

TEST_F(CanaryTest, NeverGetsAllOfTheTrafficWithoutEvidence) {
  make({{"start", 50}, {"step", 100}, {"target", 100}, {"interval", "1s"}});
  EXPECT_FALSE(next(1h).decision);
  EXPECT_NEAR(shares_[1], 0.5, 1e-12);
}

TEST_F(CanaryTest, IsInconclusiveAfterItsTime) {
  make({{"start", 10}, {"target", 10}, {"interval", "1s"}, {"max_duration", "100s"}});
  EXPECT_FALSE(next(99s).decision);
  const auto decided = next(1s);
  ASSERT_TRUE(decided.decision);
  EXPECT_EQ(decided.decision->word, "inconclusive");
  EXPECT_FALSE(decided.shares);
  // It is still watched.
  observe(0, Ending::kAnswered, 500);
  observe(1, Ending::kFailed, 20);
  EXPECT_EQ(next(1s).decision->word, "rollback");
}

TEST_F(CanaryTest, LostUsersHoldEveryStep) {
  make({{"start", 10}, {"interval", "1s"}, {"max_duration", "1h"}});
  EXPECT_FALSE(next(10s, /*mismatch=*/true).decision);
  EXPECT_EQ(next(2h, /*mismatch=*/true).decision->word, "inconclusive");
}

TEST_F(CanaryTest, APausedOneStaysAndIsStillTakenBack) {
  make({{"start", 10}, {"interval", "1s"}});
  ASSERT_TRUE(command(Command::kPause));
  EXPECT_FALSE(command(Command::kPause));
  EXPECT_FALSE(command(Command::kPromote));
  EXPECT_FALSE(next(1h).decision);
  ASSERT_TRUE(command(Command::kResume));
  EXPECT_FALSE(command(Command::kResume));
  ASSERT_TRUE(command(Command::kPause));
  observe(0, Ending::kAnswered, 500);
  observe(1, Ending::kFailed, 20);
  EXPECT_EQ(next(1s).decision->word, "rollback");
  EXPECT_FALSE(command(Command::kRollback));
  EXPECT_FALSE(command(Command::kPromote));
}

TEST_F(CanaryTest, ByHandIsByHand) {
  make({});
  EXPECT_FALSE(command(Command::kPromote, "v9"));
  ASSERT_TRUE(command(Command::kPromote, "v2"));
  EXPECT_EQ(state_, State::kPromoted);
  EXPECT_FALSE(command(Command::kPromote));
  ASSERT_TRUE(command(Command::kRollback));
  EXPECT_EQ(shares_, (std::vector<double>{1, 0}));
}

TEST_F(CanaryTest, LabelsOfWrongPredictionsTakeItBack) {
  make({});
  for (int i = 0; i < 2'000; ++i) {
    const bool canary = i % 10 == 0;
    policy_->reward({.arm = canary ? 1U : 0U,
                     .probability = 0.1,
                     .share = 0.1,
                     .reward = 0,
                     .right = !canary && i % 50 != 1});
  }
  EXPECT_EQ(next(1s).decision->word, "rollback");
}

TEST_F(CanaryTest, GoesOnFromItsState) {
  make({{"interval", "60s"}});
  good(200);
  observe(1, Ending::kFailed, 2);
  EXPECT_FALSE(next(30s).decision);
  const auto state = json::parse(policy_->state().dump());
  const auto summary = policy_->summary(State::kRunning).dump();
  make({{"interval", "60s"}});
  policy_->restore(state);
  EXPECT_EQ(policy_->summary(State::kRunning).dump(), summary);
  EXPECT_EQ(next(30s).decision->word, "step");
}

TEST_F(CanaryTest, WhatItCannotBeIsSaid) {
  for (const auto& [options, part] :
       std::vector<std::pair<json, std::string>>{{{{"canary", "v1"}}, "same version"},
                                                 {{{"start", 50}, {"target", 10}}, "below start"},
                                                 {{{"stable", ""}}, "needs both"},
                                                 {{{"start", 0}}, "0.01 to 99.99"},
                                                 {{{"analysis", "oracle"}}, "oracle"},
                                                 {{{"alpha", 2}}, "1e-06 to 0.5"},
                                                 {{{"speed", 1}}, "speed"}}) {
    const auto policy = made(options);
    ASSERT_FALSE(policy) << options;
    EXPECT_EQ(policy.error().reason, "bad_release");
    EXPECT_NE(policy.error().message.find(part), std::string::npos) << policy.error().message;
  }
}

}  // namespace
}  // namespace sluice::release
