// Ends the waiting of requests whose time for features is over, to a few milliseconds, whatever
// their store is doing.
//
// Thread-safety: every function may be called from any thread. Its thread is started with the first
// that waits.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "features/gathering.h"

namespace sluice::features {

class Deadlines {
 public:
  // `ended` is called with those that were taken because they are due, on a thread of this.
  using Ended = std::function<void(std::vector<std::shared_ptr<Gathering>>)>;
  explicit Deadlines(Ended ended) : ended_(std::move(ended)) {}
  ~Deadlines() { close(); }
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  void add(std::shared_ptr<Gathering> gathering);
  // Those that still wait are dropped.
  void close();

 private:
  // With the mutex held. Where the system has no thread to give, it is tried again with the next.
  void start();
  void run();

  const Ended ended_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  std::vector<std::shared_ptr<Gathering>> heap_;  // the first to be due in front
  bool sleeping_ = false;                         // without anything to wait for
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace sluice::features
