#include "base/worker.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <numeric>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Longer than anything here takes, on any machine.
constexpr auto kLong = 20s;

// Notes who came, in order.
class Notes {
 public:
  void add(int value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(value);
  }
  std::vector<int> values() const {
    const std::lock_guard lock(mutex_);
    return values_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<int> values_;
};

TEST(Worker, OneThreadRunsTasksInOrder) {
  Notes notes;
  {
    Worker worker("test");
    for (int i = 0; i < 100; ++i) worker.post([&, i] { notes.add(i); });
  }
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(notes.values(), expected) << "the destructor runs what was posted";
}

TEST(Worker, ATaskMayPostOthersWhileItEnds) {
  std::atomic<int> ran = 0;
  {
    Worker worker("test");
    worker.post([&] {
      std::this_thread::sleep_for(10ms);  // the destructor waits by now
      worker.post([&] { worker.post([&] { ++ran; }); });
    });
  }
  EXPECT_EQ(ran, 1);
}

TEST(Worker, LaterTasksRunInTheOrderOfTheirTimes) {
  Notes notes;
  std::promise<void> last;
  Worker worker("test");
  const auto now = Clock::now() + 100ms;
  worker.post_at(now + 60ms, [&] {
    notes.add(3);
    last.set_value();
  });
  worker.post_at(now + 20ms, [&] { notes.add(1); });
  worker.post_at(now + 40ms, [&] { notes.add(2); });
  worker.post([&] { notes.add(0); });
  ASSERT_EQ(last.get_future().wait_for(kLong), std::future_status::ready);
  EXPECT_GE(Clock::now(), now + 60ms) << "not before their time";
  EXPECT_EQ(notes.values(), (std::vector<int>{0, 1, 2, 3}));
}

TEST(Worker, WhatIsDueRunsAtOnceAndInOrder) {
  Notes notes;
  std::promise<void> last;
  {
    Worker worker("test");
    std::latch begun(1);
    worker.post([&] { begun.wait(); });
    const auto past = Clock::now() - 1h;
    worker.post_at(past + 2ms, [&] {
      notes.add(2);
      last.set_value();
    });
    worker.post_at(past + 1ms, [&] { notes.add(1); });
    begun.count_down();
    ASSERT_EQ(last.get_future().wait_for(kLong), std::future_status::ready);
  }
  EXPECT_EQ(notes.values(), (std::vector<int>{1, 2}));
}

TEST(Worker, AnEarlierTaskWakesWhoWaitsForALaterOne) {
  std::promise<void> earlier;
  Worker worker("test");
  worker.post_at(Clock::now() + 1h, [] { FAIL() << "an hour has not passed"; });
  std::this_thread::sleep_for(5ms);  // it waits by now
  worker.post_at(Clock::now() + 10ms, [&] { earlier.set_value(); });
  EXPECT_EQ(earlier.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(Worker, TheDestructorDoesNotWaitForLaterTasks) {
  const auto held = std::make_shared<int>(1);
  const auto began = Clock::now();
  {
    Worker worker("test", 2);
    worker.post_at(Clock::now() + 1h, [held] { FAIL(); });
  }
  EXPECT_LT(Clock::now() - began, kLong);
  EXPECT_EQ(held.use_count(), 1) << "what it holds is let go";
}

// Tasks that wait for each other, as only threads side by side can.
class Meeting {
 public:
  explicit Meeting(int expected) : expected_(expected) {}
  void join() {
    std::unique_lock lock(mutex_);
    ++here_;
    changed_.notify_all();
    changed_.wait_for(lock, 5s, [&] { return here_ == expected_; });
    met_ += here_ == expected_ ? 1 : 0;
  }
  bool all_met() {
    const auto until = Clock::now() + kLong;
    std::unique_lock lock(mutex_);
    while (met_ < expected_ && Clock::now() < until) changed_.wait_for(lock, 1ms);
    return met_ == expected_;
  }

 private:
  const int expected_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int here_ = 0;
  int met_ = 0;
};

TEST(Worker, SeveralThreadsWorkSideBySide) {
  Meeting meeting(3);
  Worker worker("test", 3);
  for (int i = 0; i < 3; ++i) worker.post([&] { meeting.join(); });
  EXPECT_TRUE(meeting.all_met());
}

TEST(Worker, SeveralThreadsDoLaterTasksSideBySide) {
  Meeting meeting(3);
  Worker worker("test", 3);
  const auto when = Clock::now() + 10ms;
  for (int i = 0; i < 3; ++i) worker.post_at(when, [&] { meeting.join(); });
  EXPECT_TRUE(meeting.all_met());
}

TEST(Worker, EveryTaskOfManyThreadsRunsOnce) {
  std::array<std::atomic<int>, 4000> ran{};
  {
    Worker worker("test", 3);
    std::vector<std::jthread> posting;
    for (std::size_t t = 0; t < 4; ++t) {
      posting.emplace_back([&, t] {
        for (std::size_t i = t * 1000; i < (t + 1) * 1000; ++i) {
          if (i % 3 == 0) {
            worker.post_at(Clock::now() + 1us * (i % 500), [&, i] { ++ran[i]; });
          } else {
            worker.post([&, i] { ++ran[i]; });
          }
        }
      });
    }
    posting.clear();
    std::this_thread::sleep_for(5ms);  // all times have passed
    std::promise<void> behind;
    worker.post([&] { behind.set_value(); });
    ASSERT_EQ(behind.get_future().wait_for(kLong), std::future_status::ready);
    const auto until = Clock::now() + kLong;
    const auto left = [&] {
      return std::ranges::count_if(ran, [](const auto& each) { return each == 0; });
    };
    while (left() > 0 && Clock::now() < until) std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(std::ranges::all_of(ran, [](const auto& each) { return each == 1; }));
}

TEST(Worker, WhatATaskHoldsIsLetGoAfterIt) {
  Worker worker("test");
  auto held = std::make_shared<int>(1);
  std::promise<void> next;
  worker.post([held] {});
  worker.post([&] { next.set_value(); });
  ASSERT_EQ(next.get_future().wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Worker, WhatATaskHoldsMayPostWhenItIsLetGo) {
  std::promise<void> posted;
  Worker worker("test");
  auto held =
      std::shared_ptr<void>(nullptr, [&](void*) { worker.post([&] { posted.set_value(); }); });
  worker.post([held = std::move(held)] {});
  EXPECT_EQ(posted.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(Worker, ThreadsHaveTheirName) {
  Worker worker("a name that is longer than fifteen");
  std::promise<std::string> name;
  worker.post([&] {
    std::array<char, 32> text{};
    pthread_getname_np(pthread_self(), text.data(), text.size());
    name.set_value(text.data());
  });
  EXPECT_EQ(name.get_future().get(), "a name that is ");
}

}  // namespace
}  // namespace sluice
