// One shadow version: the thread that asks it, what waits for that, and how far it was from what
// users got. Made and used by ShadowRunner (shadow_runner.h).
//
// The thread shares ownership of the line, so that a run that never ends needs nobody else. The
// version itself is kept loaded only while it runs. Where the version's model can be had in a
// process of its own (core/model_host.h), the line has one, which ends with its thread.
//
// Thread-safety: every function may be called from any thread, but `start`, `join_until` and
// `forget` by one at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/arena.h"
#include "base/bounded_queue.h"
#include "base/priority.h"
#include "core/servable.h"
#include "serving/shadow_comparison.h"
#include "serving/shadow_runner.h"

namespace sluice::serving {

// What one request brought and what it was answered; shared by all of its shadows.
// Immutable once it is queued.
struct ShadowCase {
  Arena arena;  // has all that follows
  std::span<TensorView> inputs;
  std::size_t rows = 0;
  bool may_split_rows = false;
  std::uint64_t bound_to = 0;
  std::weak_ptr<const Servable> servable;  // the primary's, for the names of its inputs
  Prediction prediction;
  std::string_view request_id;
  double tolerance = 0.01;           // of the release's
  std::optional<double> primary_ms;  // of a run that was the request's alone
  std::size_t bytes = 0;
  TimePoint queued{};
  std::chrono::system_clock::time_point at{};
};

class ShadowLine : public std::enable_shared_from_this<ShadowLine> {
 public:
  // Asked now and then by a thread that has nothing to do.
  using Wanted = std::function<bool()>;

  ShadowLine(std::shared_ptr<const Servable> servable, const ShadowOptions& options);

  // Once. Errors: the system has no more threads.
  Result<void> start(Wanted wanted);
  // Does not wait. `lines`: among how many the process's bounds are shared.
  bool has_room(std::size_t lines, std::size_t bytes) const;
  void push(std::shared_ptr<const ShadowCase> shared, std::size_t lines);
  void count_large() { large_.fetch_add(1, std::memory_order_relaxed); }
  void count_full() { full_.fetch_add(1, std::memory_order_relaxed); }
  void count_skipped() { skipped_.fetch_add(1, std::memory_order_relaxed); }

  // Of this version, and not of another that was loaded in its place.
  bool is_of(const Servable& servable) const { return raw_ == &servable; }
  const std::string& model() const { return model_; }
  // Its thread has ended by itself.
  bool ended() const { return ended_.load(std::memory_order_acquire); }

  ShadowComparison& comparison() { return comparison_; }
  ShadowCounts counts() const;
  HostStatus host_status() const { return host_ == nullptr ? HostStatus() : host_->status(); }

  // Asks the thread to end, and drops what waits.
  void close();
  // False: it has not ended by then, and is left to itself.
  bool join_until(TimePoint until);
  // Of a thread that has ended by itself: joining could wait for its last steps, which are idle
  // too.
  void forget() { thread_.detach(); }

 private:
  void work(const Wanted& wanted);
  void handle(const ShadowCase& shared);
  Result<void> ask(const Servable& servable, const ShadowCase& shared);
  Result<std::chrono::nanoseconds> run(const Servable& servable, RequestPtr& request) const;
  Result<void> fit(const Servable& servable, const ShadowCase& shared, Request& request) const;
  std::shared_ptr<const ShadowCase> take();

  const std::string model_;
  const std::string version_;
  const std::weak_ptr<const Servable> servable_;
  const Servable* const raw_;  // only to compare: `servable_` keeps the address from others
  const ShadowOptions options_;
  const std::shared_ptr<const HostedModel> host_;  // null: it runs in this process
  ShadowComparison comparison_;
  BoundedQueue<std::shared_ptr<const ShadowCase>> queue_;

  std::atomic<std::size_t> waiting_{0};
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::uint64_t> predictions_{0};
  std::atomic<std::uint64_t> disagreements_{0};
  std::atomic<std::uint64_t> full_{0};
  std::atomic<std::uint64_t> late_{0};
  std::atomic<std::uint64_t> large_{0};
  std::atomic<std::uint64_t> down_{0};
  std::atomic<std::uint64_t> skipped_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<bool> closed_{false};
  std::atomic<bool> ended_{false};
  bool told_ = false;  // of an error, in the log; the thread's own

  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;   // guarded by mutex_
  std::thread thread_;  // of the runner, which starts, joins and forgets it under a lock of its own
};

}  // namespace sluice::serving
