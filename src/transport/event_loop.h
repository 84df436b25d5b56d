// One event loop: epoll, edge-triggered, with turns.
//
// A turn takes all descriptors that are ready, tells their watchers, and then runs what these put
// off to its end: so the requests that many connections bring together are done together. Work that
// other threads post runs in the turn after.
//
// Edge-triggered means that a watcher hears once of what has become ready, and remembers it until
// a short read or write shows that it is used up. That saves the call which only ever answers
// EAGAIN, a tenth of what a small request costs (docs/decisions/0026-event-loop.md).
//
// Thread-safety: `post` and `stop` from any thread; the rest on the thread that runs the loop, or
// before it runs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/turn.h"

namespace sluice::transport {

class EventLoop final : public Turn {
 public:
  using Work = std::move_only_function<void()>;
  using TimePoint = std::chrono::steady_clock::time_point;

  class Watcher {
   public:
    virtual ~Watcher() = default;
    // `events` are epoll's.
    virtual void on_ready(std::uint32_t events) = 0;
  };

  // Throws std::system_error when the process has no descriptors left.
  EventLoop();

  // The watcher must live until the turn after `unwatch`. False: the system refused (errno).
  bool watch(int fd, Watcher& watcher, std::uint32_t events);
  void unwatch(int fd);

  void at_end(Work work) override { ended_.push_back(std::move(work)); }
  void post(Work work) override;
  void after(std::chrono::milliseconds delay, Work work);

  void run();
  void stop();
  // On whatever thread owns a loop that has stopped: what was posted since.
  void finish_posted();

  bool is_current() const {
    return std::this_thread::get_id() == id_.load(std::memory_order_relaxed);
  }
  // When this turn began.
  TimePoint now() const { return now_; }

 private:
  void turn();
  int patience() const;
  void run_ended();
  void run_posted();
  void run_timers();

  Fd poll_;
  Fd wake_;
  TimePoint now_ = std::chrono::steady_clock::now();
  std::vector<Work> ended_;
  std::vector<Work> mine_;  // posted by the loop's own thread
  std::vector<Work> running_;
  std::multimap<TimePoint, Work> timers_;
  std::atomic<std::thread::id> id_{};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> woken_{false};

  std::mutex mutex_;
  std::vector<Work> posted_;  // guarded by mutex_
};

}  // namespace sluice::transport
