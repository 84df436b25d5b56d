#include "release/fleet_link.h"

#include <gtest/gtest.h>

#include "release/json_state.h"
#include "state/testing/shared_store.h"

namespace sluice::release {
namespace {

using namespace std::chrono_literals;
using state::testing::SharedStore;

class FleetLinks : public ::testing::Test {
 protected:
  struct Replica {
    std::unique_ptr<StateStore> store;
    std::unique_ptr<FleetLink> link;
  };

  Replica replica(const std::string& name) {
    Replica out{shared_.open(name), nullptr};
    out.link = std::make_unique<FleetLink>(*out.store->fleet(), name);
    return out;
  }
  static BeatHeard beat(Replica& replica) {
    auto heard = replica.link->beat(FleetLink::Clock::now());
    return heard ? *std::move(heard) : BeatHeard{};
  }
  static std::vector<Outcome> outcomes(std::size_t count) { return std::vector<Outcome>(count); }
  // How many the leader reads.
  static std::size_t read(Replica& leader) {
    std::size_t out = 0;
    std::uint64_t place = 0;
    while (true) {
      const auto events = leader.store->fleet()->events(leader.link->token(), place);
      EXPECT_TRUE(events);
      if (!events || events->empty()) return out;
      for (const auto& event : *events) {
        place = event.place;
        EXPECT_TRUE(read_happenings(
            event.bytes, leader.link->clock(),
            {[&](const Outcome&, WallMillis) { ++out; }, [&](const ToldFeedback&) { ++out; }}));
      }
    }
  }

  SharedStore shared_;
};

TEST_F(FleetLinks, TheFirstThatBeatsLeads) {
  auto a = replica("a");
  auto b = replica("b");
  EXPECT_FALSE(a.link->leads(FleetLink::Clock::now()));
  beat(a);
  beat(b);
  EXPECT_TRUE(a.link->leads(FleetLink::Clock::now()));
  EXPECT_FALSE(b.link->leads(FleetLink::Clock::now()));
  EXPECT_FALSE(a.link->leads(FleetLink::Clock::now() + Fleet::kLease)) << "it was not kept";
  EXPECT_TRUE(a.link->view().leads);
}

TEST_F(FleetLinks, KnowsTheStoresTimeFromTheFirstBeatOn) {
  shared_.advance(100h);
  auto a = replica("a");
  const auto there = beat(a).now;
  const auto here = a.link->now(FleetLink::Clock::now());
  EXPECT_LT(here > there ? here - there : there - here, 1000);
}

TEST_F(FleetLinks, WhatHasHappenedIsHeardOnceHoweverOftenItIsSaid) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);  // from now on it knows the store's time
  b.link->happened(outcomes(3));
  shared_.lose_replies("b");
  beat(b);
  EXPECT_FALSE(b.link->connected());
  b.link->happened(outcomes(4));
  beat(b);
  shared_.restore("b");
  shared_.cut("b");
  b.link->happened(outcomes(5));
  beat(b);
  EXPECT_EQ(b.link->view().waiting, 12U);
  shared_.restore("b");
  beat(b);
  beat(b);
  EXPECT_EQ(b.link->view().waiting, 0U);
  EXPECT_EQ(read(a), 12U);
}

TEST_F(FleetLinks, WhatWaitsIsBounded) {
  auto a = replica("a");
  beat(a);
  shared_.cut("a");
  a.link->happened(outcomes(FleetLink::kMostHeld - 1));
  a.link->happened(outcomes(3));
  beat(a);
  EXPECT_EQ(a.link->view().waiting, FleetLink::kMostHeld);
  EXPECT_EQ(a.link->view().given_up, 2U);
  shared_.restore("a");
  while (a.link->view().waiting > 0) beat(a);
  EXPECT_EQ(read(a), FleetLink::kMostHeld);
}

// To be refused costs the store as much as to be heard.
TEST_F(FleetLinks, WhatThereIsNoRoomForIsSaidAgainLater) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  const auto now = FleetLink::Clock::now();
  const std::string large(Fleet::kMostText, 'x');
  BeatSaid full;
  full.replica = "c";
  full.wants_lease = false;
  for (std::size_t all = 0; all + large.size() <= Fleet::kMostWaiting; all += large.size()) {
    ++full.sequence;
    full.event = large;
    ASSERT_TRUE(b.store->fleet()->beat(full)->kept_event);
  }
  a.link->happened(outcomes(3));
  EXPECT_FALSE(a.link->beat(now)->kept_event);
  EXPECT_TRUE(a.link->beat(now + 500ms)->kept_event) << "nothing was said";
  EXPECT_EQ(a.link->view().waiting, 3U);
  ASSERT_TRUE(a.store->fleet()->forget(a.link->token(), full.sequence));
  EXPECT_TRUE(a.link->beat(now + 1500ms)->kept_event);
  EXPECT_EQ(a.link->view().waiting, 0U);
}

TEST_F(FleetLinks, QuestionsAreAnsweredByWhoeverLeads) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  std::vector<std::string> answers;
  const auto answer = [&](const Result<json>& result) {
    answers.push_back(result ? text_of(*result)
                             : std::string(result.error().reason) + ": " + result.error().message);
  };
  b.link->ask({{"ask", "status"}}, answer);
  b.link->ask({{"ask", "nonsense"}}, answer);
  EXPECT_TRUE(beat(b).questions.empty());
  const auto heard = beat(a);
  ASSERT_EQ(heard.questions.size(), 2U);
  EXPECT_EQ(heard.questions[0].text, R"({"ask":"status"})");
  a.link->reply(heard.questions[0], json{{"state", "running"}});
  a.link->reply(heard.questions[1], not_found("unknown_model", "there is none"));
  EXPECT_TRUE(a.link->due(FleetLink::Clock::now() + FleetLink::kQuickBeat));
  beat(a);
  beat(b);
  EXPECT_EQ(answers,
            (std::vector<std::string>{R"({"state":"running"})", "unknown_model: there is none"}));
}

TEST_F(FleetLinks, WithoutTheStoreQuestionsAreAnsweredAtOnce) {
  auto a = replica("a");
  beat(a);
  std::vector<std::string> reasons;
  const auto answer = [&](const Result<json>& result) {
    reasons.emplace_back(result ? "" : result.error().reason);
  };
  a.link->ask({{"ask", "status"}}, answer);
  shared_.cut("a");
  beat(a);
  EXPECT_TRUE(reasons.empty());
  a.link->give_up(FleetLink::Clock::now());
  a.link->ask({{"ask", "status"}}, answer);
  a.link->told("m", {"r1", 1.0, std::nullopt}, answer);
  EXPECT_EQ(reasons, (std::vector<std::string>{"no_leader", "no_leader", "no_leader"}));
}

// What was said before the store was away may have been done; what is asked then was not.
TEST_F(FleetLinks, SaysWhetherAnythingMayHaveBeenDone) {
  auto a = replica("a");
  beat(a);
  std::vector<std::string> messages;
  const auto answer = [&](const Result<json>& result) {
    messages.emplace_back(result ? "" : result.error().message);
  };
  a.link->ask({{"ask", "promote"}}, answer);
  shared_.cut("a");
  beat(a);
  a.link->give_up(FleetLink::Clock::now());
  a.link->ask({{"ask", "promote"}}, answer);
  a.link->told("m", {"r1", 1.0, std::nullopt}, answer);
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_TRUE(messages[0].contains("may have been done or not")) << messages[0];
  EXPECT_TRUE(messages[1].contains("nothing was changed")) << messages[1];
  EXPECT_TRUE(messages[2].contains("nothing was counted")) << messages[2];
}

TEST_F(FleetLinks, WhoDoesNotLeadSeesNobody) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  beat(a);
  EXPECT_EQ(a.link->view().replicas, 2U);
  EXPECT_EQ(b.link->view().replicas, 0U);
  shared_.cut("a");
  (void)a.link->beat(FleetLink::Clock::now() + Fleet::kLease);
  EXPECT_FALSE(a.link->view().leads);
  EXPECT_EQ(a.link->view().replicas, 0U);
}

TEST_F(FleetLinks, NobodyWaitsForEver) {
  auto a = replica("a");
  beat(a);
  std::string reason;
  a.link->ask({{"ask", "status"}},
              [&](const Result<json>& result) { reason = result.error().reason; });
  a.link->give_up(FleetLink::Clock::now());
  EXPECT_EQ(reason, "");
  a.link->give_up(FleetLink::Clock::now() + FleetLink::kAnswer);
  EXPECT_EQ(reason, "no_leader");
}

TEST_F(FleetLinks, EverybodyFollowsOnceAllHaveSaidSo) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  a.store->fleet()->write_under(a.link->token());
  const auto number = a.store->fleet()->publish(a.link->token(), "m", "text");
  ASSERT_TRUE(number);
  beat(a);
  EXPECT_FALSE(a.link->everybody_follows(*number));
  const auto heard = beat(b);
  ASSERT_EQ(heard.published.size(), 1U);
  b.link->heard(heard.published[0].number);
  beat(b);
  beat(a);
  EXPECT_TRUE(a.link->everybody_follows(*number));
}

// What is published next would not be heard by one that does not beat.
TEST_F(FleetLinks, WhoIsSilentDoesNotFollow) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  beat(a);
  EXPECT_TRUE(a.link->everybody_follows(0));
  shared_.advance(FleetLink::kPresent + 1ms);
  beat(a);
  EXPECT_FALSE(a.link->everybody_follows(0));
  EXPECT_TRUE(a.link->present_follow(1)) << "whoever beats";
  EXPECT_TRUE(a.link->everybody_heard(0));
  EXPECT_FALSE(a.link->everybody_heard(1));
  beat(b);
  beat(a);
  EXPECT_TRUE(a.link->everybody_follows(0));
}

// One that is cut off is waited for until it is held to be gone.
TEST_F(FleetLinks, WhoIsSilentForLongIsNotWaitedFor) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  const auto number = a.store->fleet()->publish(a.link->token(), "m", "text");
  ASSERT_TRUE(number);
  shared_.advance(Fleet::kGone - 1s);
  beat(a);
  EXPECT_FALSE(a.link->everybody_follows(*number));
  shared_.advance(2s);
  beat(a);
  EXPECT_TRUE(a.link->everybody_follows(*number));
}

TEST_F(FleetLinks, AfterALossWhoeverLedLeadsOn) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  shared_.lose_everything();
  beat(b);
  EXPECT_FALSE(b.link->leads(FleetLink::Clock::now())) << "though it has the lease";
  beat(b);
  beat(a);
  EXPECT_TRUE(a.link->leads(FleetLink::Clock::now()));
  EXPECT_FALSE(b.link->leads(FleetLink::Clock::now()));
}

TEST_F(FleetLinks, AfterALossNothingIsTakenForSaidAgain) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  for (int i = 0; i < 5; ++i) {
    b.link->happened(outcomes(1));
    beat(b);
  }
  EXPECT_EQ(read(a), 5U);
  shared_.lose_everything();
  for (int i = 0; i < 5; ++i) {  // the first of them meets the new life
    b.link->happened(outcomes(2));
    beat(b);
    beat(a);
  }
  EXPECT_EQ(b.link->view().waiting, 0U);
  EXPECT_EQ(read(a), 10U);
}

TEST_F(FleetLinks, AReplicaThatEndsHandsItsLeaseOn) {
  auto a = replica("a");
  auto b = replica("b");
  beat(a);
  beat(b);
  const auto before = a.link->token();
  a.link->happened(outcomes(2));
  a.link->leave();
  beat(b);
  EXPECT_TRUE(b.link->leads(FleetLink::Clock::now()));
  EXPECT_GT(b.link->token(), before);
  EXPECT_EQ(read(b), 2U);
}

TEST_F(FleetLinks, AnswersKeepTheirErrors) {
  const auto through = [](const Result<json>& result) { return result_of(text_of(result)); };
  EXPECT_EQ(*through(json{{"a", 1}}), (json{{"a", 1}}));
  const auto error = through(fail(Code::kAborted, "revision_conflict", "it is 3"));
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().code, Code::kAborted);
  EXPECT_EQ(error.error().reason, "revision_conflict");
  EXPECT_EQ(error.error().message, "it is 3");
  EXPECT_EQ(through(fail(Code::kAborted, "of_a_newer_version", "x")).error().reason, "refused");
  EXPECT_FALSE(result_of("{broken"));
}

}  // namespace
}  // namespace sluice::release
