// What every release policy must do, whichever are registered. A new one adds an example here.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "release/json_state.h"
#include "release/option_types.h"
#include "release/spec.h"

namespace sluice::release {
namespace {

using namespace std::chrono_literals;

// As a user would write it.
const std::map<std::string, std::string> kExamples = {
    {"split", R"({"policy":"split","weights":{"v1":0.7,"v2":0.3}})"},
    {"canary", R"({"policy":"canary","stable":"v1","canary":"v2","interval":"1s"})"},
    {"bandit", R"({"policy":"bandit","arms":["v1","v2","v3"]})"}};

class ReleaseConformance : public testing::TestWithParam<std::string> {
 protected:
  json example() const {
    const auto found = kExamples.find(GetParam());
    return found == kExamples.end() ? json() : json::parse(found->second);
  }
  Result<std::unique_ptr<ReleasePolicy>> made(const json& body) const {
    SLUICE_TRY(const auto spec, parse_spec(body));
    return policies_.make(spec);
  }
  std::unique_ptr<ReleasePolicy> make() const {
    auto policy = made(example());
    EXPECT_TRUE(policy) << "write an example of " << GetParam() << " above";
    return policy ? *std::move(policy) : nullptr;
  }

  const Policies policies_ = Policies::builtin();
};

bool are_shares(std::span<const double> shares, std::size_t arms) {
  return shares.size() == arms &&
         std::ranges::all_of(shares, [](double share) { return share >= 0 && share <= 1; }) &&
         std::abs(std::accumulate(shares.begin(), shares.end(), 0.0) - 1) < 1e-9;
}

// Requests of both kinds, labels and time, as a release would hand them over.
void live(ReleasePolicy& policy, std::vector<double>& shares, int steps) {
  Random random(7);
  std::chrono::steady_clock::time_point now{};
  for (int i = 0; i < steps; ++i) {
    const auto arm = random.below(policy.arms().size());
    Outcome outcome;
    outcome.choice.arm = static_cast<std::uint32_t>(arm);
    outcome.ending = i % 50 == 7 ? Ending::kFailed : Ending::kAnswered;
    outcome.millis = 1.0F + static_cast<float>(random.uniform());
    outcome.at = now += 10ms;
    policy.observe(outcome, shares[1]);
    const bool right = random.uniform() < 0.5;
    policy.reward({arm, shares[arm], shares[1], right ? 1.0 : 0.0, right});
    const auto next = policy.next({.shares = shares, .passed = 10ms});
    if (next.shares) shares = *next.shares;
    ASSERT_TRUE(are_shares(shares, policy.arms().size())) << "after " << i;
  }
}

TEST_P(ReleaseConformance, BeginsWithASharePerArm) {
  const auto policy = make();
  ASSERT_NE(policy, nullptr);
  ASSERT_GE(policy->arms().size(), 2U);
  EXPECT_TRUE(are_shares(policy->start(), policy->arms().size()));
  EXPECT_LT(policy->stable(), policy->arms().size());
}

TEST_P(ReleaseConformance, SharesStayShares) {
  const auto policy = make();
  ASSERT_NE(policy, nullptr);
  auto shares = policy->start();
  live(*policy, shares, 2000);
}

TEST_P(ReleaseConformance, ARestartKnowsWhatWasKnown) {
  const auto before = make();
  ASSERT_NE(before, nullptr);
  auto shares = before->start();
  live(*before, shares, 500);
  const auto stored = json::parse(text_of(before->state()));
  const auto after = make();
  after->restore(stored);
  EXPECT_EQ(text_of(after->state()), text_of(before->state()));
  EXPECT_EQ(text_of(after->summary(State::kRunning)), text_of(before->summary(State::kRunning)));
}

TEST_P(ReleaseConformance, StateOfAnotherShapeIsNotBelieved) {
  for (const char* strange : {"null", "[]", "7", R"({"arms":7})", R"({"analysis":[1]})"}) {
    const auto policy = make();
    ASSERT_NE(policy, nullptr);
    policy->restore(json::parse(strange));
    EXPECT_TRUE(are_shares(policy->start(), policy->arms().size())) << strange;
  }
}

TEST_P(ReleaseConformance, MistakesAreRefusedWithASentence) {
  auto strange = example();
  strange["no_such_key"] = 1;
  for (const auto& body : {strange, json{{"policy", GetParam()}}}) {
    const auto policy = made(body);
    ASSERT_FALSE(policy) << body.dump();
    EXPECT_EQ(policy.error().reason, "bad_release");
    EXPECT_FALSE(policy.error().message.empty());
  }
}

// By hand, in every state: a decision with its reason, or a refusal with one.
TEST_P(ReleaseConformance, EveryCommandIsAnswered) {
  const std::array states = {State::kRunning, State::kPaused, State::kRolledBack, State::kPromoted,
                             State::kInconclusive};
  for (const auto state : states) {
    for (const auto command :
         {Command::kPromote, Command::kRollback, Command::kPause, Command::kResume}) {
      const auto policy = make();
      ASSERT_NE(policy, nullptr);
      const auto shares = policy->start();
      const auto next = policy->command(command, {}, {.state = state, .shares = shares});
      if (!next) {
        EXPECT_FALSE(next.error().message.empty());
        continue;
      }
      ASSERT_TRUE(next->decision) << word_of(command);
      EXPECT_TRUE(next->decision->reason.ends_with('.')) << next->decision->reason;
      EXPECT_TRUE(!next->shares || are_shares(*next->shares, shares.size()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ReleaseConformance,
                         testing::ValuesIn(Policies::builtin().makers.names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace sluice::release
