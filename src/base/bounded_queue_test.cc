#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace sluice {
namespace {

TEST(BoundedQueue, FirstInFirstOutAndNoMoreThanItHolds) {
  BoundedQueue<int> queue(4);
  for (int round = 0; round < 3; ++round) {
    int out = 0;
    EXPECT_FALSE(queue.pop(out));
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(i));
    int more = 9;
    EXPECT_FALSE(queue.push(more));
    EXPECT_EQ(more, 9);
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(queue.pop(out));
      EXPECT_EQ(out, i);
    }
  }
}

TEST(BoundedQueue, WhatWasTakenIsLetGo) {
  BoundedQueue<std::shared_ptr<int>> queue(2);
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = value;
  ASSERT_TRUE(queue.push(value));
  ASSERT_TRUE(queue.pop(value));
  value.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(BoundedQueue, WaitingEndsWithAPushAndWithItsTime) {
  BoundedQueue<int> queue(2);
  EXPECT_FALSE(queue.wait(std::chrono::milliseconds(1)));
  int one = 1;
  queue.push(one);
  EXPECT_TRUE(queue.wait(std::chrono::seconds(20)));
}

// Every number that was taken in comes out once, whoever pushes and pops.
TEST(BoundedQueue, NothingIsLostBetweenThreads) {
  constexpr int kEach = 20'000;
  constexpr int kThreads = 3;
  BoundedQueue<int> queue(64);
  std::atomic<int> refused{0};
  std::atomic<int> left{kThreads};
  std::vector<int> seen(kEach * kThreads);
  {
    std::vector<std::jthread> pushing;
    for (int thread = 0; thread < kThreads; ++thread) {
      pushing.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          int value = thread * kEach + i;
          if (!queue.push(value)) ++refused;
        }
        --left;
        queue.wake();
      });
    }
    int value = 0;
    bool last = false;
    while (!last) {
      queue.wait(std::chrono::seconds(20));
      last = left == 0;  // before the last look
      while (queue.pop(value)) ++seen[static_cast<std::size_t>(value)];
    }
  }
  int value = 0;
  while (queue.pop(value)) ++seen[static_cast<std::size_t>(value)];
  int sum = 0;
  for (const int times : seen) {
    EXPECT_LE(times, 1);
    sum += times;
  }
  EXPECT_EQ(sum + refused, kEach * kThreads);
}

}  // namespace
}  // namespace sluice
