#include "transport/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace sluice::transport {
namespace {

using namespace std::chrono_literals;

struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
    here = Fd(ends[0]);
    there = Fd(ends[1]);
  }
  void say(const std::string& text) const {
    EXPECT_EQ(::write(there.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  Fd here, there;
};

class Noting final : public EventLoop::Watcher {
 public:
  Noting(std::string& log, char name) : log_(log), name_(name) {}
  void on_ready(std::uint32_t) override {
    log_ += name_;
    if (then) then();
  }
  std::function<void()> then;

 private:
  std::string& log_;
  char name_;
};

TEST(EventLoop, TheEndOfATurnIsBehindAllThatIsReady) {
  EventLoop loop;
  std::string log;
  Pair first, second;
  Noting a(log, 'a'), b(log, 'b');
  a.then = b.then = [&] { loop.at_end([&] { log += 'e'; }); };
  ASSERT_TRUE(loop.watch(first.here.get(), a, EPOLLIN | EPOLLET));
  ASSERT_TRUE(loop.watch(second.here.get(), b, EPOLLIN | EPOLLET));
  first.say("x");
  second.say("x");
  loop.after(20ms, [&] { loop.stop(); });
  loop.run();
  std::ranges::sort(log.begin(), log.begin() + 2);  // which of the two is first is the system's
  EXPECT_EQ(log, "abee");
}

TEST(EventLoop, WhatTheEndPutsOffIsOfTheSameTurnAndPostsAreOfTheNext) {
  EventLoop loop;
  std::string log;
  loop.post([&] {
    loop.post([&] { log += '3'; });
    loop.at_end([&] {
      log += '1';
      loop.at_end([&] { log += '2'; });
    });
  });
  loop.after(10ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(log, "123");
}

// An edge is told once; new bytes are a new edge, though none was read.
TEST(EventLoop, TellsOnceOfEachEdge) {
  EventLoop loop;
  std::string log;
  Pair pair;
  Noting a(log, 'a');
  const auto ends = [&] {
    loop.unwatch(pair.here.get());
    pair.say("z");
    loop.after(20ms, [&] { loop.stop(); });
  };
  // Each after what came before it was told, however late that was.
  a.then = [&] {
    if (log == "a") loop.after(1ms, [&] { pair.say("y"); });
    if (log == "aa") loop.after(1ms, ends);
  };
  ASSERT_TRUE(loop.watch(pair.here.get(), a, EPOLLIN | EPOLLET));
  pair.say("x");
  loop.after(20s, [&] { loop.stop(); });  // where one was not told
  loop.run();
  EXPECT_EQ(log, "aa");
}

TEST(EventLoop, TimersGoInTheirOrder) {
  EventLoop loop;
  std::string log;
  loop.after(20ms, [&] { log += '2'; });
  loop.after(1ms, [&] {
    log += '1';
    loop.after(40ms, [&] {
      log += '3';
      loop.stop();
    });
  });
  loop.run();
  EXPECT_EQ(log, "123");
}

TEST(EventLoop, NoPostOfAnyThreadIsLost) {
  EventLoop loop;
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  int done = 0;  // by the loop's thread alone
  std::thread runner([&] { loop.run(); });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) loop.post([&] { ++done; });
    });
  }
  for (auto& thread : threads) thread.join();
  loop.stop();
  runner.join();
  loop.post([&] { ++done; });
  loop.finish_posted();
  EXPECT_EQ(done, kThreads * kEach + 1);
}

}  // namespace
}  // namespace sluice::transport
