// What replicas may rely on when they speak through a store, whichever it is: events, what is
// published, and letters.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "state/testing/fleet_contract.h"

namespace sluice::state {
namespace {

using namespace std::chrono_literals;
using testing::FleetContract;
using testing::reason;

class FleetSpeech : public FleetContract {};
INSTANTIATE_TEST_SUITE_P(Stores, FleetSpeech, ::testing::ValuesIn(testing::kFleetKinds),
                         testing::fleet_kind_name);

// --- events

TEST_P(FleetSpeech, EventsOfAllComeInOrder) {
  auto a = member("a");
  auto b = member("b");
  const auto token = a.lead();
  EXPECT_TRUE(a.fleet().events(token, 0)->empty());
  a.event("1").beat();
  b.event("2").beat();
  b.beat();
  b.event("3").beat();
  const auto all = a.fleet().events(token, 0).value();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].place, 1U);
  EXPECT_EQ(all[0].replica, "a");
  EXPECT_EQ(all[1].bytes, "2");
  EXPECT_EQ(all[2].replica, "b");
  EXPECT_EQ(all[2].place, 3U);
  EXPECT_EQ(bytes_of(a, token, 1), "2 3");
  EXPECT_EQ(bytes_of(a, token, 3), "");
}

TEST_P(FleetSpeech, AnEventThatIsSaidAgainIsKeptOnce) {
  auto a = member("a");
  const auto token = a.lead();
  for (const auto* bytes : {"1", "2"}) {
    a.event(bytes).beat();
    for (int i = 0; i < 3; ++i) {
      a.says().event = bytes;
      EXPECT_TRUE(a.beat().kept_event);
    }
  }
  EXPECT_EQ(bytes_of(a, token), "1 2");
  ASSERT_TRUE(a.fleet().forget(token, 2));
  a.says().event = "2";
  a.beat();
  EXPECT_EQ(bytes_of(a, token), "") << "also when it was read";
  ASSERT_TRUE(a.fleet().leave("a"));
  a.says().event = "2";
  a.beat();
  EXPECT_EQ(bytes_of(a, a.lead()), "") << "also when its beat comes after the end";
}

TEST_P(FleetSpeech, WhatIsForgottenIsGoneAndPlacesGoOn) {
  auto a = member("a");
  const auto token = a.lead();
  for (const auto* bytes : {"1", "2", "3"}) a.event(bytes).beat();
  ASSERT_TRUE(a.fleet().forget(token, 2));
  EXPECT_EQ(bytes_of(a, token), "3");
  ASSERT_TRUE(a.fleet().forget(token, 1)) << "which are not there any more";
  ASSERT_TRUE(a.fleet().forget(token, 3));
  EXPECT_EQ(bytes_of(a, token), "");
  a.event("4").beat();
  EXPECT_EQ(a.fleet().events(token, 3)->at(0).place, 4U);
}

TEST_P(FleetSpeech, ANewLeaderFindsWhatTheOldOneDidNotForget) {
  auto a = member("a");
  auto b = member("b");
  a.lead();
  a.event("1").beat();
  b.event("2").beat();
  place_->advance(Fleet::kLease);
  EXPECT_EQ(bytes_of(b, b.lead()), "1 2");
}

TEST_P(FleetSpeech, ManyEventsAreReadInParts) {
  auto a = member("a");
  const auto token = a.lead();
  std::string all;
  for (int i = 0; i < 2000; ++i) {
    a.event(std::to_string(i)).beat();
    all += (i == 0 ? "" : " ") + std::to_string(i);
  }
  EXPECT_TRUE(bytes_of(a, token) == all);
}

TEST_P(FleetSpeech, EventsThatNobodyReadsAreBounded) {
  auto a = member("a");
  const auto token = a.lead();
  const std::string large(Fleet::kMostText, 'x');
  for (std::size_t i = 0; i < Fleet::kMostWaiting / Fleet::kMostText; ++i) {
    ASSERT_TRUE(a.event(large).beat().kept_event) << i;
  }
  EXPECT_FALSE(a.event("one more").beat().kept_event);
  a.says().event = "one more";
  EXPECT_FALSE(a.beat().kept_event) << "not taken for one that was kept";
  EXPECT_EQ(a.fleet().events(token, 31)->at(0).bytes, large);
  ASSERT_TRUE(a.fleet().forget(token, 31));
  a.says().event = "one more";
  EXPECT_TRUE(a.beat().kept_event);
  EXPECT_EQ(bytes_of(a, token, 32), "one more");
}

TEST_P(FleetSpeech, WhatIsTooLargeIsNotSaid) {
  auto a = member("a");
  const auto token = a.lead();
  const std::string large(Fleet::kMostText + 1, 'x');
  auto said = a.says();
  said.sequence = 1;
  said.event = large;
  EXPECT_EQ(reason(a.fleet().beat(said)), "too_large");
  said.event.clear();
  said.questions = {{"a", "1", large}};
  EXPECT_EQ(reason(a.fleet().beat(said)), "too_large");
  EXPECT_EQ(reason(a.fleet().publish(token, "m", large)), "too_large");
  EXPECT_EQ(bytes_of(a, token), "");
  EXPECT_TRUE(a.beat().published.empty());
}

// --- what is published

TEST_P(FleetSpeech, EachHearsWhatWasPublishedSince) {
  auto a = member("a");
  auto b = member("b");
  const auto token = a.lead();
  EXPECT_EQ(a.fleet().publish(token, "m", "m1").value(), 1U);
  EXPECT_EQ(a.fleet().publish(token, "n", "n1").value(), 2U);
  EXPECT_EQ(a.fleet().publish(token, "m", "m2").value(), 3U);
  const auto first = b.beat().published;
  ASSERT_EQ(first.size(), 2U) << "the newest of each model";
  EXPECT_EQ(first[0].model, "n");
  EXPECT_EQ(first[0].number, 2U);
  EXPECT_EQ(first[1].model, "m");
  EXPECT_EQ(first[1].text, "m2");
  EXPECT_EQ(first[1].number, 3U);
  b.says().heard = 3;
  EXPECT_TRUE(b.beat().published.empty());
  EXPECT_EQ(a.fleet().publish(token, "n", "").value(), 4U);
  const auto last = b.beat().published;
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].model, "n");
  EXPECT_EQ(last[0].text, "") << "it follows nothing any more";
}

TEST_P(FleetSpeech, WhoHasHeardMoreThanIsThereShowsThatSomethingWasLost) {
  auto a = member("a");
  auto b = member("b");
  const auto token = a.lead();
  const auto before = a.beat().life;
  b.says().heard = 7;
  const auto after = b.beat().life;
  EXPECT_NE(after, before);
  EXPECT_EQ(b.beat().life, after) << "once";
  EXPECT_EQ(a.beat().life, after) << "for all";
  EXPECT_EQ(a.fleet().publish(token, "m", "x").value(), 8U) << "which b has not heard yet";
  EXPECT_EQ(b.beat().published.size(), 1U);
  EXPECT_TRUE(a.fleet().events(token, 5)->empty());
  EXPECT_NE(a.beat().life, after) << "nor have five things happened";
  a.event("6").beat();
  EXPECT_EQ(bytes_of(a, token, 5), "6");
}

// --- letters

TEST_P(FleetSpeech, QuestionsReachTheLeaderAndAnswersWhoeverAsked) {
  auto a = member("a");
  auto b = member("b");
  a.lead();
  b.says().questions = {{"b", "1", "how?"}, {"b", "2", "why?"}};
  EXPECT_TRUE(b.beat().questions.empty()) << "for the leader alone";
  const auto asked = a.beat().questions;
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].from, "b");
  EXPECT_EQ(asked[0].id, "1");
  EXPECT_EQ(asked[0].text, "how?");
  EXPECT_EQ(asked[1].id, "2");
  EXPECT_TRUE(a.beat().questions.empty()) << "fetched once";
  a.says().answers = {{"b", "1", "so"}};
  EXPECT_TRUE(a.beat().answers.empty()) << "they are another one's";
  const auto answered = b.beat().answers;
  ASSERT_EQ(answered.size(), 1U);
  EXPECT_EQ(answered[0].from, "a");
  EXPECT_EQ(answered[0].id, "1");
  EXPECT_EQ(answered[0].text, "so");
  EXPECT_TRUE(b.beat().answers.empty());
}

TEST_P(FleetSpeech, ALeaderMayAskItself) {
  auto a = member("a");
  a.lead();
  a.says().questions = {{"a", "1", "?"}};
  EXPECT_EQ(a.beat().questions.size(), 1U);
  a.says().answers = {{"a", "1", "!"}};
  EXPECT_EQ(a.beat().answers.size(), 1U);
}

TEST_P(FleetSpeech, QuestionsWaitForALeaderButNotForEver) {
  auto a = member("a");
  auto b = member("b");
  a.says().wants_lease = false;
  a.says().questions = {{"a", "1", "?"}};
  a.beat();
  place_->advance(30s);
  EXPECT_EQ(b.beat().questions.size(), 1U);
  a.says().questions = {{"a", "2", "?"}};
  a.beat();
  place_->advance(Fleet::kLetterKept + 1s);
  EXPECT_TRUE(b.beat().questions.empty());
  b.says().answers = {{"a", "2", "!"}};
  b.beat();
  place_->advance(Fleet::kLetterKept + 1s);
  EXPECT_TRUE(a.beat().answers.empty());
}

TEST_P(FleetSpeech, LettersThatNobodyFetchesAreBounded) {
  auto a = member("a");
  auto b = member("b");
  a.says().wants_lease = false;
  for (std::size_t i = 0; i < Fleet::kMostLetters + 5; ++i) {
    a.says().questions.push_back({"a", std::to_string(i), ""});
  }
  a.beat();
  std::vector<Letter> asked;
  while (true) {
    const auto some = b.beat().questions;
    if (some.empty()) break;
    asked.insert(asked.end(), some.begin(), some.end());
  }
  ASSERT_EQ(asked.size(), Fleet::kMostLetters);
  EXPECT_EQ(asked.front().id, "5") << "the oldest went";
  EXPECT_EQ(asked.back().id, "1004");
}

}  // namespace
}  // namespace sluice::state
