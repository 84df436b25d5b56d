#include "routing/weighted.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::routing {
namespace {

std::vector<VersionName> names(const std::vector<std::string>& texts) {
  std::vector<VersionName> out;
  for (const auto& text : texts) out.push_back(*VersionName::parse(text));
  return out;
}

WeightedPlan plan(const std::vector<std::string>& arms, std::vector<double> shares) {
  WeightedPlan out;
  out.release = 9;
  out.epoch = 4;
  out.arms = names(arms);
  out.slots = SlotTable(shares);
  out.shares = std::move(shares);
  out.model = "m";
  out.salt = "s";
  return out;
}

TEST(Weighted, AnonymousRequestsAreDealtByTheirShares) {
  const auto policy =
      make_weighted(plan({"v3", "v1"}, {0.2, 0.8}))->over(names({"v1", "v2", "v3"}));
  std::map<std::size_t, int> seen;
  for (int i = 0; i < 20'000; ++i) {
    const auto choice = policy->choose({});
    ++seen[choice.version];
    EXPECT_EQ(choice.unit, 0U);
    EXPECT_EQ(choice.release, 9U);
    EXPECT_EQ(choice.epoch, 4U);
    EXPECT_FLOAT_EQ(choice.probability, choice.arm == 0 ? 0.2F : 0.8F);
    EXPECT_EQ(choice.version, choice.arm == 0 ? 2U : 0U);
  }
  EXPECT_NEAR(seen[2], 4000, 300);
  EXPECT_EQ(seen[1], 0) << "v2 is no arm";
  EXPECT_EQ(policy->usual(), 2U) << "the first arm is read for, while it has a share";
}

TEST(Weighted, AUserStaysAndIsKnownAgain) {
  const auto policy = make_weighted(plan({"v1", "v2"}, {0.5, 0.5}))->over(names({"v1", "v2"}));
  int moved = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string user = "user" + std::to_string(i);
    const auto first = policy->choose({user});
    const auto again = policy->choose({user});
    moved += first.arm != again.arm ? 1 : 0;
    EXPECT_EQ(first.unit, again.unit);
    EXPECT_NE(first.unit, 0U);
  }
  EXPECT_EQ(moved, 0);
}

TEST(Weighted, WhereItIsNotStickyAUserIsDealtEachTime) {
  auto loose = plan({"v1", "v2"}, {0.5, 0.5});
  loose.sticky = false;
  const auto policy = make_weighted(std::move(loose))->over(names({"v1", "v2"}));
  int second = 0;
  for (int i = 0; i < 1000; ++i) second += policy->choose({"u"}).arm == 1 ? 1 : 0;
  EXPECT_NEAR(second, 500, 150);
}

// The seed's select_model: cumulative weights over md5(user) % 10000 / 10000.
TEST(Weighted, SeedAssignmentIsTheSeeds) {
  auto seeds = plan({"v1", "v2"}, {0.5, 0.5});
  seeds.assignment = Assignment::kSeed;
  const auto policy = make_weighted(std::move(seeds))->over(names({"v1", "v2"}));
  // python3 -c "import hashlib; print(int(hashlib.md5(b'alice').hexdigest(), 16) % 10000)"
  EXPECT_EQ(seed_slot("alice"), 8300U);
  EXPECT_EQ(policy->choose({"alice"}).arm, 1U);
  EXPECT_EQ(seed_slot("bob"), 2632U);
  EXPECT_EQ(policy->choose({"bob"}).arm, 0U);
}

TEST(Weighted, AnArmThatIsNotThereGivesItsTrafficToTheOthersAndTeachesNothing) {
  const auto route = make_weighted(plan({"v1", "v2", "v3"}, {0.5, 0.25, 0.25}));
  const auto policy = route->over(names({"v1", "v3"}));
  std::map<std::size_t, int> seen;
  for (int i = 0; i < 9000; ++i) {
    const auto choice = policy->choose({i % 2 == 0 ? std::string() : "u" + std::to_string(i)});
    ++seen[choice.arm];
    EXPECT_EQ(choice.release, 0U);
  }
  EXPECT_EQ(seen[1], 0);
  EXPECT_NEAR(seen[0], 6000, 300);
  EXPECT_EQ(route->over(names({"v4"})), nullptr);
}

TEST(Weighted, WhatItNeedsIsLoaded) {
  auto all = plan({"v1", "v2"}, {1, 0});
  all.shadows = names({"v3"});
  const auto route = make_weighted(std::move(all));
  EXPECT_EQ(route->needed(), names({"v1", "v2", "v3"}));
  EXPECT_EQ(route->over(names({"v1", "v2", "v3"}))->shadows(), std::vector<std::size_t>{2});
}

}  // namespace
}  // namespace sluice::routing
