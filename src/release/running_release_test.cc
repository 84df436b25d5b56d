#include "release/running_release.h"

#include <gtest/gtest.h>

#include "observers/evidence.h"
#include "release/json_state.h"

namespace sluice::release {
namespace {

using namespace std::chrono_literals;

const Policies& policies() {
  static const Policies kPolicies = Policies::builtin();
  return kPolicies;
}

std::unique_ptr<RunningRelease> release_of(const std::string& text, std::string salt = "s") {
  auto spec = parse_spec(json::parse(text));
  EXPECT_TRUE(spec);
  auto policy = policies().make(*spec);
  EXPECT_TRUE(policy);
  return std::make_unique<RunningRelease>(*ModelName::parse("m"), *std::move(spec),
                                          *std::move(policy), 1, std::move(salt), "api");
}

const std::string kCanary =
    R"({"policy":"canary","stable":"v1","canary":"v2","start":10,"step":20,"interval":"1s"})";

Outcome outcome(std::uint32_t arm, std::uint64_t number, Ending ending = Ending::kAnswered) {
  Outcome out;
  out.choice = {.version = arm, .release = 1, .arm = arm, .probability = arm == 0 ? 0.9F : 0.1F};
  out.ending = ending;
  out.millis = 5 + static_cast<float>(number % 7);
  out.prediction = static_cast<double>(number % 2);
  out.id = observers::request_key("r" + std::to_string(number));
  return out;
}

// Some traffic of both arms, in which everything happens.
void some_traffic(RunningRelease& release, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t i = from; i < to; ++i) {
    const auto ending = i % 83 == 0    ? Ending::kFailed
                        : i % 97 == 0  ? Ending::kShed
                        : i % 101 == 0 ? Ending::kMistake
                                       : Ending::kAnswered;
    release.observe(outcome(i % 10 == 3 ? 1 : 0, i, ending), static_cast<WallMillis>(i));
  }
}

class FixedRoute final : public Route {
 public:
  std::shared_ptr<const Policy> over(const std::vector<VersionName>&) const override { return {}; }
};

// Knows a way of its own.
class Own final : public ReleasePolicy {
 public:
  const std::vector<VersionName>& arms() const override { return arms_; }
  std::vector<double> start() override { return {0.5, 0.5}; }
  Result<Next> command(Command, std::string_view, const Standing&) override { return Next{}; }
  std::shared_ptr<const Route> route(routing::WeightedPlan plan) const override {
    seen = std::move(plan);
    return fixed;
  }

  const std::shared_ptr<const Route> fixed = std::make_shared<FixedRoute>();
  mutable routing::WeightedPlan seen;

 private:
  const std::vector<VersionName> arms_ = {*VersionName::parse("v1"), *VersionName::parse("v2")};
};

TEST(RunningRelease, APolicyMayBringARouteOfItsOwn) {
  auto policy = std::make_unique<Own>();
  const Own& own = *policy;
  const RunningRelease release(*ModelName::parse("m"), Spec{}, std::move(policy), 7, "salt", "api");
  EXPECT_EQ(release.route(), own.fixed);
  EXPECT_EQ(own.seen.release, release.id()) << "which its choices are to name";
  EXPECT_EQ(own.seen.shares, (std::vector{0.5, 0.5}));
}

TEST(RunningRelease, CountsWhatHappensToEachArm) {
  auto release = release_of(kCanary);
  some_traffic(*release, 0, 1000);
  const auto arms = release->status()["arms"];
  EXPECT_EQ(arms["v1"]["requests"].get<int>() + arms["v1"]["shed"].get<int>() +
                arms["v1"]["client_errors"].get<int>(),
            900);
  EXPECT_EQ(arms["v1"]["errors"].get<int>() + arms["v2"]["errors"].get<int>(), 13);
  EXPECT_EQ(arms["v2"]["client_errors"], 1);
}

TEST(RunningRelease, ARestartInTheMiddleLeavesTheEvidenceBitForBit) {
  auto whole = release_of(kCanary);
  auto first = release_of(kCanary);
  some_traffic(*whole, 0, 5000);
  some_traffic(*first, 0, 2345);
  const auto document = json::parse(text_of(first->document()));
  const auto evidence = json::parse(text_of(first->evidence()));
  auto second = release_of(kCanary, "another");
  second->restore(document, evidence);
  EXPECT_EQ(text_of(second->evidence()), text_of(first->evidence()));
  some_traffic(*second, 2345, 5000);
  EXPECT_EQ(text_of(second->evidence()), text_of(whole->evidence()));
  EXPECT_EQ(text_of(second->status()["arms"]), text_of(whole->status()["arms"]));
  EXPECT_EQ(text_of(second->status()["summary"]), text_of(whole->status()["summary"]));
}

TEST(RunningRelease, EvidenceOfBeforeADecisionDoesNotUndoIt) {
  auto release = release_of(kCanary);
  some_traffic(*release, 0, 500);
  const auto early = release->evidence();  // saved, and then the process was killed …
  const auto rolled = release->command(Command::kRollback, "");
  ASSERT_TRUE(rolled);
  release->apply(*rolled);
  release->revision = 7;
  const auto document = release->document();  // … but not before the decision was written
  auto after = release_of(kCanary);
  after->revision = 7;
  after->restore(document, early);
  EXPECT_EQ(after->state(), State::kRolledBack);
  EXPECT_EQ(after->weights(), (json{{"v1", 1.0}, {"v2", 0.0}}));
  EXPECT_GT(after->status()["arms"]["v2"]["requests"].get<int>(), 0);
}

TEST(RunningRelease, UsersStayWhereTheyWereWhenWeightsChange) {
  auto before = release_of(R"({"policy":"split","weights":{"v1":0.6,"v2":0.3,"v3":0.1}})");
  auto after = release_of(R"({"policy":"split","weights":{"v3":0.2,"v1":0.5,"v2":0.3}})", "other");
  after->keep_users_of(*before);
  const std::vector<VersionName> ready = {*VersionName::parse("v1"), *VersionName::parse("v2"),
                                          *VersionName::parse("v3")};
  const auto was = before->route()->over(ready);
  const auto is = after->route()->over(ready);
  int moved = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string user = "u" + std::to_string(i);
    const auto from = was->choose({user}).version;
    const auto to = is->choose({user}).version;
    if (from == to) continue;
    ++moved;
    EXPECT_EQ(from, 0U);
    EXPECT_EQ(to, 2U);
  }
  EXPECT_NEAR(moved, 1000, 120) << "a tenth, and nobody else";
}

TEST(RunningRelease, FeedbackIsTakenOnceAndInTime) {
  auto release =
      release_of(R"({"policy":"bandit","arms":["v1","v2"],"algorithm":"ucb1","reward_ttl":"10s"})");
  Outcome asked = outcome(1, 1);
  release->observe(asked, 1000);
  const auto reason = [&](const Feedback& told, WallMillis now) -> std::string {
    const auto taken = release->feedback(told, now);
    return taken ? "" : std::string(taken.error().reason);
  };
  EXPECT_EQ(reason({"r2", {}, 1.0}, 2000), "unknown_request");
  EXPECT_EQ(reason({"r1", {}, 1.5}, 2000), "bad_reward");
  EXPECT_EQ(reason({"r1", {}, std::nan("")}, 2000), "bad_reward");
  EXPECT_EQ(reason({"r1", {}, 0.5}, 11'001), "expired");
  EXPECT_EQ(release->status()["arms"]["v2"].count("rewards"), 0U) << "nothing has changed";
  EXPECT_EQ(reason({"r1", {}, 0.5}, 2000), "");
  EXPECT_EQ(reason({"r1", {}, 0.5}, 2000), "repeated_feedback");
  EXPECT_EQ(release->status()["arms"]["v2"]["avg_reward"], 0.5);
}

TEST(RunningRelease, ATrueLabelSaysWhetherThePredictionWasRight) {
  auto release = release_of(R"({"policy":"split","weights":{"v1":0.5,"v2":0.5}})");
  auto told = outcome(0, 1);
  told.prediction = 1;
  told.label = 1;  // with the request itself
  release->observe(told, 0);
  auto later = outcome(0, 2);
  later.prediction = 0.5;
  release->observe(later, 0);
  auto table = outcome(0, 3);
  table.prediction = Outcome::kNone;
  release->observe(table, 0);
  EXPECT_EQ(release->feedback({"r1", 1.0, {}}, 1).error().reason, "repeated_feedback");
  EXPECT_EQ(release->feedback({"r2", 0.505, {}}, 1)->reward, 1) << "no further apart than 0.01";
  EXPECT_EQ(release->feedback({"r3", 1.0, {}}, 1).error().reason, "bad_reward");
  EXPECT_EQ(release->status()["arms"]["v1"]["rewards"], 2.0);
}

TEST(RunningRelease, ARewardThatNeverCameIsWorthItsDefault) {
  auto release =
      release_of(R"({"policy":"bandit","arms":["v1","v2"],"reward_ttl":"1s","default_reward":0})");
  for (std::uint64_t i = 0; i < 5; ++i) release->observe(outcome(0, i), 1000);
  ASSERT_TRUE(release->feedback({"r0", {}, 1.0}, 1500));
  release->expire(1900);
  EXPECT_EQ(release->bandit()["v1"]["rewards"], 1.0);
  release->expire(2001);
  EXPECT_EQ(release->bandit()["v1"]["rewards"], 5.0);
  EXPECT_EQ(release->bandit()["v1"]["avg_reward"], 0.2);
}

TEST(RunningRelease, ADefaultRewardWeighsAsMuchAsOneThatIsTold) {
  auto release =
      release_of(R"({"policy":"bandit","arms":["v1","v2"],"reward_ttl":"1s","default_reward":0})");
  for (std::uint64_t i = 0; i < 4; ++i) {
    auto seldom = outcome(0, i);
    seldom.choice.probability = 0.25F;
    release->observe(seldom, 1000);
  }
  ASSERT_TRUE(release->feedback({"r0", {}, 1.0}, 1500));
  release->expire(2001);
  EXPECT_EQ(release->bandit()["v1"]["off_policy"]["estimate"], 0.25) << "one of four";
}

// As of a replica that was cut off for a while.
TEST(RunningRelease, WhatWasChosenByForgottenSharesCountsButIsNotCompared) {
  auto release = release_of(R"({"policy":"bandit","arms":["v1","v2"]})");
  for (int i = 0; i < 300; ++i) {
    Next next;
    next.shares = std::vector{0.5, 0.5};
    release->apply(next);
  }
  release->observe(outcome(0, 1), 1000);
  EXPECT_EQ(release->status()["arms"]["v1"]["requests"], 1);
  EXPECT_EQ(release->status()["sample_ratio"]["units"]["v1"], 0.0);
  EXPECT_TRUE(release->feedback({"r1", {}, 1.0}, 1001));
  EXPECT_EQ(release->bandit()["v1"]["rewards"], 1.0);
}

TEST(RunningRelease, ACanaryIsRaisedStepByStepAndNotOnAnOldClock) {
  auto release = release_of(kCanary);
  EXPECT_FALSE(release->next(900ms).decision);
  auto next = release->next(200ms);
  ASSERT_TRUE(next.decision);
  EXPECT_EQ(next.decision->word, "step");
  release->apply(next);
  EXPECT_EQ(release->weights(), (json{{"v1", 0.7}, {"v2", 0.3}}));
  const auto paused = release->command(Command::kPause, "");
  ASSERT_TRUE(paused);
  release->apply(*paused);
  EXPECT_FALSE(release->next(10s).decision);
  EXPECT_EQ(release->command(Command::kPromote, "").error().code, Code::kAborted);
  EXPECT_EQ(release->command(Command::kPause, "").error().code, Code::kAborted);
}

TEST(RunningRelease, OtherShadowsLeaveAllElseAsItIs) {
  auto before = release_of(kCanary);
  some_traffic(*before, 0, 1500);
  const auto raised = before->next(2s);
  ASSERT_TRUE(raised.decision);
  before->apply(raised);
  const auto body = [](std::string more) {
    auto out = kCanary;
    out.insert(out.size() - 1, more);
    return out;
  };
  auto after = release_of(body(R"(,"shadow":["v3"])"), "other");
  EXPECT_TRUE(after->changes_shadows_of(*before));
  after->keep_users_of(*before);
  after->go_on(*before);
  after->take_over_feedback(*before);
  EXPECT_EQ(after->weights(), before->weights());
  EXPECT_EQ(text_of(after->status()["arms"]), text_of(before->status()["arms"]));
  EXPECT_EQ(text_of(after->status()["summary"]), text_of(before->status()["summary"]));
  EXPECT_EQ(after->status()["salt"], "s");
  EXPECT_TRUE(after->feedback({"r1", 1.0, {}}, 2000));
  EXPECT_FALSE(release_of(kCanary)->changes_shadows_of(*before)) << "the same again begins anew";
  EXPECT_FALSE(release_of(body(R"(,"alpha":0.05,"shadow":["v3"])"))->changes_shadows_of(*before));
}

// A fifth of the canary's users never come to an end: nothing that the arms say can be compared.
TEST(RunningRelease, WhereUsersGetLostNothingIsRaisedOrPromoted) {
  auto release = release_of(kCanary);
  std::uint64_t number = 0;
  for (int i = 0; i < 200'000 && !release->mismatch(); ++i) {
    const bool canary = i % 10 == 0;
    if (canary && i % 50 == 0) continue;
    auto one = outcome(canary ? 1 : 0, ++number);
    one.id = {};
    release->observe(one, 0);
  }
  EXPECT_TRUE(release->mismatch());
  EXPECT_FALSE(release->next(10s).decision);
  EXPECT_TRUE(release->status()["sample_ratio"]["alarm"]);
  for (std::uint64_t i = 0; i < 20; ++i) release->observe(outcome(1, i, Ending::kFailed), 0);
  EXPECT_EQ(release->next(0ms).decision->word, "rollback") << "harm is harm";
}

// Whole failure needs no interval to be over: nine of the canary's requests.
TEST(RunningRelease, ACanaryThatAlwaysFailsIsTakenBackAtOnce) {
  auto release = release_of(kCanary);
  for (std::uint64_t i = 0; i < 100; ++i) release->observe(outcome(0, i), 0);
  int failed = 0;
  while (!release->next(0ms).decision && failed < 100) {
    release->observe(outcome(1, 1000 + static_cast<std::uint64_t>(failed++), Ending::kFailed), 0);
  }
  EXPECT_LE(failed, 10);
  auto next = release->next(0ms);
  ASSERT_TRUE(next.decision);
  EXPECT_EQ(next.decision->state, State::kRolledBack);
  release->apply(next);
  EXPECT_EQ(release->weights(), (json{{"v1", 1.0}, {"v2", 0.0}}));
  EXPECT_FALSE(release->next(1h).decision);
}

}  // namespace
}  // namespace sluice::release
