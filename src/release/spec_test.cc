#include "release/spec.h"

#include <gtest/gtest.h>

#include "release/option_types.h"

namespace sluice::release {
namespace {

// The message of what is wrong with it, or nothing.
std::string problem(const std::string& text) {
  const auto policies = Policies::builtin();
  const auto spec = parse_spec(nlohmann::ordered_json::parse(text));
  if (!spec) return spec.error().message;
  const auto policy = policies.make(*spec);
  return policy ? "" : policy.error().message;
}

TEST(Spec, TheContractsExamplesAreReleases) {
  for (
      const char* text :
      {R"({"policy":"split","weights":{"v1":0.9,"v2":0.1}})",
       R"({"policy":"split","weights":{"v1":0.333333,"v2":0.333333,"v3":0.333334}})",
       R"({"policy":"canary","stable":"v1","canary":"v2","start":5,"step":10,"target":100,
            "interval":"60s","analysis":"sequential","alpha":0.01,"max_error_ratio":1.0,
            "max_p95_ratio":1.5,"min_requests":100})",
       R"({"policy":"bandit","arms":["v1","v2","v3"],"algorithm":"epsilon_greedy","epsilon":0.1,
            "reward_ttl":"24h"})",
       R"({"policy":"split","weights":{"v1":1},"shadow":["v3"],"agreement":{"tolerance":0.01}})"}) {
    EXPECT_EQ(problem(text), "") << text;
  }
}

TEST(Spec, EveryMistakeIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"policy":"split","weights":{"v1":0.9,"v2":0.2}})", "they sum to 1.1"},
      {R"({"policy":"split","weights":{"v1":1.00001}})", "must be from 0 to 1"},
      {R"({"policy":"split","weights":{"v1":1.5,"v2":-0.5}})", "must be from 0 to 1"},
      {R"({"policy":"split","weights":{"../v1":1}})", "name is not valid"},
      {R"({"policy":"split","weights":{"v1":"a lot"}})",
       "weights.v1: 'a lot' is not a finite number"},
      {R"({"policy":"canary","stable":"v1","canary":"v2","step":"x"})",
       "step: 'x' is not a finite number"},
      {R"({"policy":"bandit","arms":"v1"})", "arms: expected"},
      {R"({"policy":"split","weights":{"v1":1},"agreement":{"tolerance":-1}})",
       "agreement.tolerance: "},
      {R"({"policy":"bandit","arms":["v1","v2"],"xyzzy":1})",
       "every release also has policy, shadow"},
      {R"({"policy":"split"})", "needs weights"},
      {R"({"policy":"splitt","weights":{"v1":1}})", "not one of split, canary and bandit"},
      {R"({"weights":{"v1":1}})", "needs a policy"},
      {R"({})", "needs a policy"},
      {R"({"policy":"split","weights":{"v1":1},"wieghts":{}})", "wieghts"},
      {R"({"policy":"split","weights":{"v1":1},"shadow":["v1"]})", "answers users already"},
      {R"({"policy":"canary","stable":"v1","canary":"v1"})", "same version"},
      {R"({"policy":"canary","stable":"v1"})", "needs both"},
      {R"({"policy":"canary","stable":"v1","canary":"v2","start":100})", "out of range"},
      {R"({"policy":"canary","stable":"v1","canary":"v2","start":50,"target":20})", "below start"},
      {R"({"policy":"canary","stable":"v1","canary":"v2","alpha":0})", "out of range"},
      {R"({"policy":"canary","stable":"v1","canary":"v2","interval":60})", "duration"},
      {R"({"policy":"canary","stable":"v1","canary":"v2","analysis":"gut"})", "sequential | seed"},
      {R"({"policy":"bandit","arms":["v1"]})", "at least two"},
      {R"({"policy":"bandit","arms":["v1","v1"]})", "twice"},
      {R"({"policy":"bandit","arms":["v1","v2"],"algorithm":"ucb2"})", "not one of"},
      {R"({"policy":"bandit","arms":["v1","v2"],"default_reward":2})", "0 to 1"},
      {R"({"policy":"split","weights":{"v1":1},"revision":-1})", "negative"},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_NE(problem(text).find(expected), std::string::npos) << text << ": " << problem(text);
  }
}

TEST(Spec, WhatWasSaidIsKeptWithoutTheRevision) {
  const auto said = nlohmann::ordered_json::parse(
      R"({"policy":"split","weights":{"v1":0.25,"v2":0.75},"salt":"7","revision":3})");
  const auto spec = parse_spec(said);
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->revision, 3U);
  EXPECT_EQ(spec->salt, "7");
  auto kept = said;
  kept.erase("revision");
  EXPECT_EQ(spec->document, kept) << "a salt of digits stays text, a weight a number";
}

TEST(Spec, AFilesReleaseRoutesBeforeAnybodyHasActedOnIt) {
  const auto policies = Policies::builtin();
  const auto declared = node_of(nlohmann::ordered_json::parse(
      R"({"policy":"canary","stable":"v1","canary":"v2","start":10})"));
  const auto route = declared_route(policies, *ModelName::parse("m"), declared);
  ASSERT_TRUE(route);
  const auto policy = (*route)->over({*VersionName::parse("v1"), *VersionName::parse("v2")});
  ASSERT_NE(policy, nullptr);
  EXPECT_EQ(policy->usual(), 0U);
  int canary = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto choice = policy->choose({"u" + std::to_string(i)});
    canary += choice.version == 1 ? 1 : 0;
    EXPECT_EQ(choice.release, 0U) << "nobody learns from it";
  }
  EXPECT_NEAR(canary, 1000, 120);
}

}  // namespace
}  // namespace sluice::release
