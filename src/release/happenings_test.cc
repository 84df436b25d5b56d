#include "release/happenings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "observers/evidence.h"

namespace sluice::release {
namespace {

using namespace std::chrono_literals;

Outcome outcome(std::uint64_t number) {
  Outcome out;
  out.choice = {.version = 7,
                .release = 0x8000000000000001 + number,
                .arm = 3,
                .probability = 0.125F,
                .epoch = 70'000,
                .unit = ~number};
  out.ending = static_cast<Ending>(number % kEndings);
  out.unsound = number % 2 == 1;
  out.recalled = number % 3 == 1;
  out.millis = 1.5F;
  out.id = observers::request_key("r" + std::to_string(number));
  out.prediction = static_cast<double>(number) / 3;
  out.at = std::chrono::steady_clock::time_point(number * 1s);
  return out;
}

struct Read {
  std::vector<std::pair<Outcome, WallMillis>> outcomes;
  std::vector<ToldFeedback> feedback;
  bool whole = false;
};

Read read(std::string_view bytes, const SharedClock& clock = {}) {
  Read out;
  out.whole = read_happenings(
      bytes, clock,
      {[&](const Outcome& one, WallMillis at) { out.outcomes.emplace_back(one, at); },
       [&](ToldFeedback told) { out.feedback.push_back(std::move(told)); }});
  return out;
}

TEST(Happenings, AreReadAsTheyWere) {
  Happenings all;
  for (std::uint64_t i = 0; i < 10; ++i) all.outcomes.push_back(outcome(i));
  all.outcomes[4].label = 1;
  all.feedback.push_back({"9", "digits", {"r1", 1.0, std::nullopt}});
  all.feedback.push_back({"10", "", {std::string("\0\xff", 2), std::nullopt, -0.5}});
  const auto found = read(bytes_of(all, {}));
  EXPECT_TRUE(found.whole);
  ASSERT_EQ(found.outcomes.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    const auto& [one, at] = found.outcomes[i];
    const auto& was = all.outcomes[i];
    EXPECT_EQ(one.choice.release, was.choice.release);
    EXPECT_EQ(one.choice.arm, was.choice.arm);
    EXPECT_EQ(one.choice.epoch, was.choice.epoch);
    EXPECT_EQ(one.choice.unit, was.choice.unit);
    EXPECT_EQ(one.choice.probability, was.choice.probability);
    EXPECT_EQ(one.ending, was.ending);
    EXPECT_EQ(one.unsound, was.unsound);
    EXPECT_EQ(one.recalled, was.recalled);
    EXPECT_EQ(one.millis, was.millis);
    EXPECT_EQ(one.id, was.id);
    EXPECT_EQ(one.prediction, was.prediction);
    EXPECT_EQ(std::isnan(one.label), std::isnan(was.label));
    EXPECT_EQ(one.at, was.at);
  }
  ASSERT_EQ(found.feedback.size(), 2U);
  EXPECT_EQ(found.feedback[0].letter, "9");
  EXPECT_EQ(found.feedback[0].model, "digits");
  EXPECT_EQ(found.feedback[0].told.label, 1.0);
  EXPECT_FALSE(found.feedback[0].told.reward);
  EXPECT_EQ(found.feedback[1].told.request_id, std::string("\0\xff", 2));
  EXPECT_EQ(found.feedback[1].told.reward, -0.5);
}

// Each machine's clock began when it was started; the store's is one for all.
TEST(Happenings, AreDatedByTheStoresClock) {
  using Point = std::chrono::steady_clock::time_point;
  const SharedClock there{Point(100s), 1'000'000};
  const SharedClock here{Point(7s), 1'002'000};
  Happenings all;
  all.outcomes.push_back(outcome(0));
  all.outcomes[0].at = Point(99s);
  const auto found = read(bytes_of(all, there), here);
  EXPECT_EQ(found.outcomes[0].second, 999'000);
  EXPECT_EQ(found.outcomes[0].first.at, Point(4s)) << "three seconds before now";
}

TEST(Happenings, OfNothingAreNoBytes) { EXPECT_TRUE(bytes_of({}, {}).empty()); }

TEST(Happenings, WhatCannotBeReadEndsThem) {
  Happenings all;
  all.outcomes = {outcome(1), outcome(2)};
  all.feedback.push_back({"9", "digits", {"r1", 1.0, std::nullopt}});
  const auto bytes = bytes_of(all, {});
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const bool at_the_seam = size == bytes_of({all.outcomes, {}}, {}).size();
    EXPECT_EQ(read(std::string_view(bytes).substr(0, size)).whole, at_the_seam) << size;
  }
  EXPECT_FALSE(read("x").whole);
  EXPECT_FALSE(read(bytes + "z").whole) << "of a newer version";
  EXPECT_EQ(read(bytes + "z").outcomes.size(), 2U);
}

}  // namespace
}  // namespace sluice::release
