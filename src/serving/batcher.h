// The queue in front of a model, and the threads that empty it.
//
// Requests that cannot or should not run on the thread that read them wait here. A worker takes the
// next batch (`batch_rules.h`, a pure step), runs it and hands each request back to the loop that
// it came from, one post a loop and batch. Workers are started with the first request that waits;
// a model that never has one costs no thread.
//
// Admission is by predicted completion and not by the queue's length alone: a request that would be
// late by what is known of those before it is refused at once, which under overload is the
// difference between answering the ones that are accepted in time and answering none (Clockwork,
// OSDI 2020; PARD, 2026).
//
// Thread-safety: every function from any thread; `close` and the destructor not from a worker.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "core/hand_back.h"
#include "core/request.h"
#include "serving/batch_rules.h"
#include "serving/execution.h"

namespace sluice::serving {

struct BatcherOptions {
  BatchRules rules;
  std::size_t max_queue = 1000;  // requests
  std::uint64_t default_priority = 8;
  int instances = 1;  // runs at the same time
  std::string name;   // of the threads
};

class Batcher {
 public:
  // `execution` outlives it.
  Batcher(const Execution& execution, BatcherOptions options);
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Whether a request with this deadline may come. Costs one load while nothing waits. Errors: see
  // Servable::admit.
  Result<void> admit(TimePoint deadline) const;

  // Takes all of them; what finds the queue full is answered so.
  void push(std::span<RequestPtr> requests);

  // For a run on the caller's own thread where the number of runs at a time is limited: true when
  // an instance is free and nobody waits. `leave` after it.
  bool enter();
  void leave();

  // Answers those that cannot be in time any more, where no worker comes by to do so.
  void sweep(TimePoint now);
  // What waits is answered "dropped"; returns when no worker runs any more.
  void close();
  std::size_t waiting() const { return requests_.load(std::memory_order_relaxed); }

 private:
  // Takes from the queue what goes next, waiting for it. False: closed.
  bool take(std::vector<RequestPtr>& batch, std::vector<RequestPtr>& hopeless);
  void insert(RequestPtr request);
  void work();
  void start_workers();
  // Until a request of one row that comes now would be answered.
  std::chrono::nanoseconds predicted_time() const;

  const Execution& execution_;
  const BatcherOptions options_;
  const BatchRules alone_ = BatchRules::of({}, false);
  // Read without the lock by `admit`.
  std::atomic<std::size_t> requests_{0};
  std::atomic<std::size_t> rows_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  std::vector<RequestPtr> queue_;  // by priority, then in order of arrival
  std::vector<std::thread> workers_;
  int busy_ = 0;  // instances that run
  bool closed_ = false;
};

// Answers those that are late, each where it came from.
void hand_back_late(std::vector<RequestPtr> requests);

}  // namespace sluice::serving
