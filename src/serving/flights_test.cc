#include "serving/flights.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace sluice::serving {
namespace {

// Counts how often it ends, and how.
struct Ends {
  std::atomic<int> answered = 0;
  std::atomic<int> dropped = 0;
};

RequestPtr request_to(Ends& ends) {
  auto request = make_request();
  request->on_done = [&ends](Request* done) {
    ++(done->reply.answered ? ends.answered : ends.dropped);
  };
  return request;
}

void answer(RequestPtr request) {
  request->reply.answered = true;
  finish(std::move(request));
}

TEST(Flights, TheFirstLeadsAndTheOthersComeOutInOrder) {
  Flights flights;
  Ends ends;
  const CacheKey key{1, 2};
  auto leader = request_to(ends);
  EXPECT_EQ(flights.join(key, leader), Join::kLead);
  ASSERT_NE(leader, nullptr) << "who leads keeps its request";
  std::vector<Request*> order;
  for (int i = 0; i < 3; ++i) {
    auto request = request_to(ends);
    order.push_back(request.get());
    EXPECT_EQ(flights.join(key, request), Join::kWaits);
    EXPECT_EQ(request, nullptr);
  }
  for (const CacheKey& other : {CacheKey{1, 3}, CacheKey{2, 2}}) {
    auto request = request_to(ends);
    EXPECT_EQ(flights.join(other, request), Join::kLead) << "another key";
    EXPECT_TRUE(flights.land(other).empty());
    answer(std::move(request));
  }
  auto waited = flights.land(key);
  ASSERT_EQ(waited.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(waited[i].get(), order[i]);
  EXPECT_TRUE(flights.land(key).empty()) << "it has landed";
  EXPECT_EQ(flights.join(key, leader), Join::kLead);
  answer(std::move(leader));
  for (auto& request : waited) answer(std::move(request));
  EXPECT_EQ(ends.answered, 6);
}

TEST(Flights, WhenAsManyWaitAsMayTheNextGoesAlone) {
  Flights flights;
  Ends ends;
  const CacheKey key{1, 2};
  auto leader = request_to(ends);
  EXPECT_EQ(flights.join(key, leader), Join::kLead);
  for (std::size_t i = 0; i < Flights::kMostWaiting; ++i) {
    auto request = request_to(ends);
    ASSERT_EQ(flights.join(key, request), Join::kWaits) << i;
  }
  auto alone = request_to(ends);
  EXPECT_EQ(flights.join(key, alone), Join::kAlone);
  ASSERT_NE(alone, nullptr);
  EXPECT_EQ(flights.join(key, alone), Join::kAlone);
  EXPECT_EQ(flights.land(key).size(), Flights::kMostWaiting);
  EXPECT_EQ(flights.join(key, alone), Join::kLead);
}

TEST(Flights, WhoStillWaitsAtTheEndIsAnswered) {
  Ends ends;
  {
    Flights flights;
    auto leader = request_to(ends);
    EXPECT_EQ(flights.join({1, 2}, leader), Join::kLead);
    auto request = request_to(ends);
    EXPECT_EQ(flights.join({1, 2}, request), Join::kWaits);
    EXPECT_EQ(ends.dropped, 0);
    answer(std::move(leader));
  }
  EXPECT_EQ(ends.answered, 1);
  EXPECT_EQ(ends.dropped, 1);
}

TEST(Flights, ManyThreads) {
  constexpr std::size_t kKeys = 3;
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kEach = 20'000;
  Flights flights;
  std::vector<Ends> ends(kThreads * kEach);
  std::array<std::atomic<int>, kKeys> leading{};
  std::atomic<int> led_twice = 0;
  std::atomic<std::size_t> led = 0;
  std::atomic<std::size_t> waited = 0;
  std::atomic<std::size_t> alone = 0;  // while a thread that leads is kept from running
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(t);
        for (std::size_t i = 0; i < kEach; ++i) {
          const auto which = random() % kKeys;
          const CacheKey key{which, which};
          auto request = request_to(ends[t * kEach + i]);
          const Join join = flights.join(key, request);
          if (join == Join::kWaits) continue;
          if (join == Join::kLead) {
            ++led;
            if (leading[which]++ != 0) ++led_twice;
            if (i % 4 == 0) std::this_thread::yield();
            --leading[which];
            for (auto& other : flights.land(key)) {
              ++waited;
              answer(std::move(other));
            }
          } else {
            ++alone;
          }
          answer(std::move(request));
        }
      });
    }
  }
  EXPECT_EQ(led_twice, 0);
  EXPECT_EQ(led + waited + alone, kThreads * kEach);
  EXPECT_GT(waited, 0U) << "nobody ever waited: this tested nothing";
  for (const Ends& one : ends) {
    ASSERT_EQ(one.answered, 1);
    ASSERT_EQ(one.dropped, 0);
  }
  for (std::size_t i = 0; i < kKeys; ++i) EXPECT_TRUE(flights.land({i, i}).empty());
}

}  // namespace
}  // namespace sluice::serving
