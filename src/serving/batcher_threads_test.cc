// The batcher with many threads, and its end.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "serving/testing/batchers.h"

namespace sluice::serving {
namespace {

using namespace testing;
using Fixture = BatcherFixture;

struct Tallied {
  std::map<std::string, std::size_t> reasons;  // "": answered
  std::size_t wrong = 0;
};

Tallied tallied(const Client& client) {
  Tallied out;
  float value = 0;
  for (const auto& answer : client.answers()) {
    ++out.reasons[answer.reason];
    if (answer.times != 1) ++out.wrong;
    value = answer.values.empty() ? 0 : answer.values[0];
    for (const float each : answer.values) out.wrong += each == value ? 0 : 1;
  }
  return out;
}

// Threads that push requests of 1 to 3 rows with all kinds of priorities, deadlines and loops.
void push_many(Fixture& fixture, int threads, int times, std::span<Loop> loops) {
  std::vector<std::jthread> pushing;
  for (int t = 0; t < threads; ++t) {
    pushing.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < times; ++i) {
        std::vector<RequestPtr> some;
        for (std::size_t n = 1 + random() % 3; n > 0; --n) {
          const auto value = static_cast<float>(random() % 1000);
          Loop* loop = loops.empty() ? nullptr : &loops[random() % loops.size()];
          auto request = fixture.client.request(Floats(1 + random() % 3, value), 1, loop);
          request->priority = random() % 20;
          if (random() % 8 == 0) request->deadline = Clock::now() + 1us * (random() % 3000);
          some.push_back(std::move(request));
        }
        fixture.batcher.push(some);
        if (random() % 16 == 0) std::this_thread::yield();
      }
    });
  }
}

TEST(Batcher, EveryRequestIsAnsweredOnceFromSeveralThreads) {
  for (const int instances : {1, 2}) {
    auto options = eager(8, instances);
    options.max_queue = 200;
    Fixture fixture(std::move(options), {.takes = 20us});
    push_many(fixture, 4, 300, {});
    const auto asked = fixture.client.answers().size();
    ASSERT_TRUE(fixture.client.wait_for(asked));
    const auto all = tallied(fixture.client);
    EXPECT_EQ(all.wrong, 0U);
    EXPECT_GT(all.reasons.at(""), 0U);
    for (const auto& [reason, count] : all.reasons) {
      EXPECT_TRUE(reason.empty() || reason == "queue_full" || reason == "deadline") << reason;
    }
    for (const auto size : fixture.model.sizes()) EXPECT_LE(size, 8U);
    EXPECT_LE(fixture.model.most_at_once(), instances);
    EXPECT_EQ(fixture.batcher.waiting(), 0U);
  }
}

TEST(Batcher, ClosedInTheMiddleEveryRequestIsAnsweredOnce) {
  for (auto options : {eager(8, 2), wait(8, 500us)}) {
    options.max_queue = 100'000;
    Fixture fixture(options, {.takes = 20us});
    std::jthread closing([&] {
      EXPECT_TRUE(fixture.model.wait_for(10));
      fixture.batcher.close();
    });
    push_many(fixture, 3, 300, {});
    closing.join();
    const auto runs = fixture.model.runs().size();
    ASSERT_TRUE(fixture.client.wait_for(fixture.client.answers().size()));
    const auto all = tallied(fixture.client);
    EXPECT_EQ(all.wrong, 0U);
    EXPECT_GT(all.reasons.at(""), 0U);
    fixture.push(1);
    EXPECT_EQ(fixture.client.answers().back().reason, "draining") << "after the end";
    EXPECT_FALSE(fixture.batcher.enter());
    EXPECT_EQ(fixture.model.runs().size(), runs) << "nothing runs after close";
  }
}

TEST(Batcher, WhatWaitsWhenItClosesIsDropped) {
  Fixture fixture(wait(8, kLong));
  fixture.push(1);
  fixture.push(2);
  fixture.batcher.close();
  EXPECT_EQ(fixture.client.answer(0).reason, "dropped");
  EXPECT_EQ(fixture.client.answer(1).reason, "dropped");
  EXPECT_TRUE(fixture.model.sizes().empty());
  EXPECT_EQ(fixture.batcher.waiting(), 0U);
}

TEST(Batcher, CloseWaitsForWhatRuns) {
  Fixture fixture(eager(1));
  fixture.occupy();
  fixture.push(1);
  std::atomic<bool> closed = false;
  std::jthread closing([&] {
    fixture.batcher.close();
    closed = true;
  });
  ASSERT_TRUE(fixture.client.wait_for(1)) << "what waits is dropped at once";
  EXPECT_FALSE(closed);
  fixture.model.let_go();
  closing.join();
  EXPECT_EQ(fixture.client.answer(0).values, Floats{0}) << "what ran is answered";
  EXPECT_EQ(fixture.client.answer(1).reason, "dropped");
}

TEST(Batcher, LoopsGetAllOfTheirsBack) {
  Fixture fixture(eager(8, 2), {.takes = 20us});
  std::array<Loop, 2> loops;
  std::atomic<bool> done = false;
  std::vector<std::jthread> turning;
  for (auto& loop : loops) {
    turning.emplace_back([&] { loop.turn_until([&] { return done.load(); }); });
  }
  push_many(fixture, 2, 200, loops);
  EXPECT_TRUE(fixture.client.wait_for(fixture.client.answers().size()));
  done = true;
  turning.clear();
  EXPECT_EQ(tallied(fixture.client).wrong, 0U);
}

}  // namespace
}  // namespace sluice::serving
