// What was saved is taken up by another process as it was, and what is too old goes.
#include "release/evidence_archive.h"

#include <gtest/gtest.h>

#include "observers/evidence.h"
#include "state/builtin.h"

namespace sluice::release {
namespace {

const std::string kBandit =
    R"({"policy":"bandit","arms":["v1","v2"],"algorithm":"thompson","reward_ttl":"10s"})";

const std::string kUntold =
    R"({"policy":"bandit","arms":["v1","v2"],"reward_ttl":"10s","default_reward":0})";

const Policies& policies() {
  static const Policies kPolicies = Policies::builtin();
  return kPolicies;
}

std::unique_ptr<RunningRelease> bandit(const std::string& text = kBandit) {
  auto spec = parse_spec(json::parse(text));
  EXPECT_TRUE(spec);
  auto policy = policies().make(*spec);
  EXPECT_TRUE(policy);
  return std::make_unique<RunningRelease>(*ModelName::parse("m"), *std::move(spec),
                                          *std::move(policy), 1, "s", "api");
}

void answer(RunningRelease& release, const std::string& id, WallMillis at) {
  Outcome out;
  out.choice = {.version = 0, .release = 1, .arm = 0, .probability = 0.5F};
  out.ending = Ending::kAnswered;
  out.id = observers::request_key(id);
  release.observe(out, at);
}

class Archives : public testing::Test {
 protected:
  std::unique_ptr<RunningRelease> restored(const std::string& text = kBandit) {
    auto out = bandit(text);
    EXPECT_TRUE(EvidenceArchive(*store_).restore(*out, out->document()));
    return out;
  }
  std::size_t pieces() { return store_->blobs("feedback", "m")->size(); }

  const std::unique_ptr<StateStore> store_ = *state::open_state(":memory:");
  EvidenceArchive archive_{*store_};
};

TEST_F(Archives, AnotherProcessGoesOn) {
  auto first = bandit();
  answer(*first, "a", 1000);
  answer(*first, "b", 1001);
  ASSERT_TRUE(archive_.save(*first, 1002));
  ASSERT_TRUE(first->feedback({"a", {}, 1.0}, 1003));
  ASSERT_TRUE(archive_.save(*first, 1004));
  EXPECT_FALSE(first->dirty);
  EXPECT_EQ(pieces(), 2U);

  auto second = restored();
  EXPECT_EQ(text_of(second->evidence()), text_of(first->evidence()));
  EXPECT_EQ(second->feedback({"a", {}, 1.0}, 1006).error().reason, "repeated_feedback");
  EXPECT_TRUE(second->feedback({"b", {}, 1.0}, 1006));
}

TEST_F(Archives, PiecesAreNumberedOnAfterARestart) {
  auto first = bandit();
  answer(*first, "a", 1000);
  ASSERT_TRUE(archive_.save(*first, 1000));
  EvidenceArchive later(*store_);
  auto second = bandit();
  ASSERT_TRUE(later.restore(*second, second->document()));
  answer(*second, "b", 1001);
  ASSERT_TRUE(later.save(*second, 1001));
  EXPECT_EQ(pieces(), 2U) << "none is written over";
  auto third = restored();
  EXPECT_TRUE(third->feedback({"a", {}, 1.0}, 1002));
  EXPECT_TRUE(third->feedback({"b", {}, 1.0}, 1002));
}

TEST_F(Archives, WhatNobodyCanBeToldOfAnyMoreGoes) {
  auto release = bandit();
  answer(*release, "a", 1000);
  ASSERT_TRUE(archive_.save(*release, 1000));
  answer(*release, "b", 30'000);  // ten seconds is what feedback may take
  ASSERT_TRUE(archive_.save(*release, 30'000));
  EXPECT_EQ(pieces(), 1U);
}

TEST_F(Archives, ARestartMakesNothingYounger) {
  auto first = bandit();
  answer(*first, "a", 1000);
  ASSERT_TRUE(archive_.save(*first, 1000));
  EvidenceArchive later(*store_);
  auto second = bandit();
  ASSERT_TRUE(later.restore(*second, second->document()));
  answer(*second, "b", 12'000);
  ASSERT_TRUE(later.save(*second, 12'000));
  EXPECT_EQ(pieces(), 1U);
}

TEST_F(Archives, WhatHasExpiredIsPaidOnce) {
  auto first = bandit(kUntold);
  answer(*first, "a", 1000);
  answer(*first, "b", 1000);
  ASSERT_TRUE(first->feedback({"a", {}, 1.0}, 1001));
  ASSERT_TRUE(archive_.save(*first, 1500));
  first->expire(11'001);
  EXPECT_EQ(first->bandit()["v1"]["rewards"], 2.0);
  ASSERT_TRUE(archive_.save(*first, 11'001));

  auto second = restored(kUntold);
  second->expire(11'002);
  EXPECT_EQ(second->bandit()["v1"]["rewards"], 2.0) << "with the told one";
  EXPECT_EQ(second->feedback({"b", {}, 1.0}, 11'002).error().reason, "unknown_request");
}

TEST_F(Archives, WhatExpiresWhileNobodyRunsIsPaidByTheNext) {
  auto first = bandit(kUntold);
  answer(*first, "a", 1000);
  ASSERT_TRUE(archive_.save(*first, 1500));
  auto second = restored(kUntold);
  second->expire(20'000);
  EXPECT_EQ(second->bandit()["v1"]["rewards"], 1.0);
}

TEST_F(Archives, AnotherReleaseOfTheModelBeginsWithoutThem) {
  auto release = bandit();
  answer(*release, "a", 1000);
  ASSERT_TRUE(archive_.save(*release, 1000));
  archive_.begin_anew("m");
  EXPECT_EQ(pieces(), 0U);
  EXPECT_TRUE(store_->saved("evidence", "m")->has_value());
  archive_.forget("m");
  EXPECT_FALSE(store_->saved("evidence", "m")->has_value());
}

}  // namespace
}  // namespace sluice::release
