#include "repository/offer.h"

#include <gtest/gtest.h>

#include "repository/testing/fake_servable.h"
#include "routing/newest.h"
#include "routing/weighted.h"

namespace sluice::repository {
namespace {

using testing::FakeServable;
using testing::model_name;
using testing::version_name;

// Ready versions, in order; those with a star are only there for a release.
ModelEntry entry_with(const std::vector<std::string>& versions) {
  ModelEntry out{model_name("m"), {}, {}, {}, {}, {}, false};
  for (auto version : versions) {
    const bool for_release = version.ends_with('*');
    if (for_release) version.pop_back();
    auto servable = std::make_shared<FakeServable>(version);
    out.versions.push_back(
        {servable->version(), VersionState::kReady, {}, servable, false, for_release});
    out.ready.push_back(servable);
  }
  return out;
}

std::shared_ptr<const Route> split(const std::vector<std::string>& arms, std::vector<double> shares,
                                   const std::string& shadow = {}) {
  routing::WeightedPlan plan;
  for (const auto& arm : arms) plan.arms.push_back(version_name(arm));
  plan.slots = routing::SlotTable(shares);
  plan.shares = std::move(shares);
  plan.tolerance = 0.25;
  if (!shadow.empty()) plan.shadows = {version_name(shadow)};
  return routing::make_weighted(std::move(plan));
}

TEST(Offer, TheNewestIsOneOfThoseThatModelYamlNames) {
  const auto route = routing::make_newest();
  for (const auto& [versions, expected] : std::vector<std::pair<std::vector<std::string>, size_t>>{
           {{"v1", "v2"}, 1}, {{"v1", "v2*"}, 0}, {{"v1*", "v2", "v3*"}, 1}}) {
    const auto policy = offer(*route, entry_with(versions));
    EXPECT_EQ(policy->usual(), expected);
    EXPECT_EQ(policy->choose({}).version, expected);
  }
}

TEST(Offer, WhatIsThereForAReleaseServesWhereNothingElseDoes) {
  const auto policy = offer(*routing::make_newest(), entry_with({"v1*", "v2*"}));
  EXPECT_EQ(policy->choose({}).version, 1U);
}

TEST(Offer, ARouteHasTheVersionsThatItNames) {
  const auto policy = offer(*split({"v1", "v3"}, {0, 1}), entry_with({"v0*", "v1", "v2*", "v3*"}));
  EXPECT_EQ(policy->choose({}).version, 3U);
  EXPECT_EQ(policy->usual(), 3U);
}

TEST(Offer, ShadowsAndToleranceAreTheRoutes) {
  const auto policy = offer(*split({"v1"}, {1}, "v3"), entry_with({"v0*", "v1", "v3*"}));
  EXPECT_EQ(policy->choose({}).version, 1U);
  EXPECT_EQ(policy->shadows(), std::vector<std::size_t>{2});
  EXPECT_EQ(policy->tolerance(), 0.25);
}

TEST(Offer, NoPolicyWhereNothingOfTheRouteIsThere) {
  EXPECT_EQ(offer(*split({"v9"}, {1}), entry_with({"v0*", "v1"})), nullptr);
  EXPECT_EQ(offer(*split({"v9"}, {1}), entry_with({"v0*"})), nullptr);
}

}  // namespace
}  // namespace sluice::repository
