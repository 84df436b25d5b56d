// The workers of one version: started, watched, started again when they end, and lent to whoever
// runs the model.
//
// A thread of its own watches them, so that the end of one is noticed at once and not by the next
// request. One that ends is started again, at first immediately, then after pauses that double up
// to half a minute; having lived for ten seconds makes it one that never failed. What runs when its
// worker ends is tried once more, by another one; a run that ends two is to blame itself.
//
// Thread-safety: `run` from any thread; the others by the thread that made it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engines/python_worker.h"

namespace sluice::engines {

struct PoolOptions {
  WorkerOrder worker;
  std::string name;  // in the log
  int workers = 1;
  std::chrono::seconds load_limit{60};  // of processor time; ten times as long by the clock
  Millis run_limit{60'000};
  const std::atomic<bool>* abandoned = nullptr;  // nobody wants it any more, while it is started
};

class WorkerPool {
 public:
  // Returns when the first worker is ready; the others follow. Errors: kInvalidArgument/`bad_model`
  // when the model cannot be loaded or loading it took too long; kUnavailable when the process was
  // killed or broken off, or there is none to be had.
  static Result<std::unique_ptr<WorkerPool>> start(PoolOptions options);
  // Ends them.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // What the first worker said of the model. It comes from the model: nothing in it can be relied
  // on.
  const std::string& description() const { return description_; }
  // Of all workers together, by the first.
  std::uint64_t memory() const { return memory_; }

  // Errors: kInvalidArgument/`refused` when the model raised ValueError;
  // kInternal/`engine_failed` when it raised something else or ended its process;
  // kDeadlineExceeded/`run_limit` when it took too long; kUnavailable/`no_worker` while none is
  // ready.
  Result<void> run(WorkerJob job);

 private:
  using Clock = std::chrono::steady_clock;

  struct Slot {
    enum class State { kDown, kStarting, kLoading, kReady };
    State state = State::kDown;
    std::shared_ptr<PythonWorker> worker;
    bool busy = false;
    bool condemned = false;  // whoever ran it wants it ended
    int failures = 0;        // in a row
    Clock::time_point due;   // kDown: when it is started
    Clock::time_point since;
    std::chrono::nanoseconds used{0};  // of a processor, before it began to load
    bool silent = false;               // its output has ended
    std::string line;                  // that it has begun to write
  };
  struct Lent {
    std::size_t slot = 0;
    std::shared_ptr<PythonWorker> worker;
    bool alone = false;
  };

  explicit WorkerPool(PoolOptions options);
  Result<void> wait_for_first();
  Failure failure(WorkerOutcome outcome, const std::string& said) const;
  Result<Lent> take();
  void give_back(const Lent& lent, WorkerOutcome outcome);
  WorkerOutcome run_on(const Lent& lent, const WorkerJob& job, std::string& said);
  Slot* free_slot();
  bool hopeless() const;

  // Of the watching thread.
  void watch();
  void wake();
  bool start_due();
  void start_worker(Slot& slot);
  void wait_for_events();
  void look_at(Slot& slot, bool ended);
  bool hear(Slot& slot);
  void loaded(Slot& slot, std::string said);
  void check_limits(Slot& slot);
  void end(Slot& slot, std::string_view why);
  void fail_first(Error error);
  void read_output(Slot& slot);
  void log_line(std::string_view line);

  PoolOptions options_;
  Fd wake_;
  std::string description_;
  std::uint64_t memory_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_; workers are put in and taken out by the watching thread alone.
  std::vector<Slot> slots_;
  std::optional<Error> failed_;  // of the first
  bool described_ = false;
  bool stopping_ = false;

  // Of the watching thread.
  std::set<std::string> lines_;
  bool told_missing_ = false;

  std::thread watcher_;
};

// A text that came from Python in one line, without words that look like paths of this machine or
// addresses in memory.
std::string without_paths(std::string_view text, std::size_t limit);

}  // namespace sluice::engines
