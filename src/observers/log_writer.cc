#include "observers/log_writer.h"

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/priority.h"

namespace sluice::observers {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPause{1};
constexpr Millis kGrace{5000};

// A pipe without a reader and a limit of the file's size are errors of `write`, not the end.
void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  sigaddset(&set, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

struct LogWriter::State {
  State(OpenLog log, std::size_t most)
      : counters(std::move(log.counters)), target(std::move(log.target)), waiting(most) {}

  void work();
  void write(LogBatch batch);
  void tell(const Result<void>& result);
  void rest(std::unique_lock<std::mutex>& lock) {
    wake.wait_for(lock, kPause, [this] { return closing; });
  }

  const std::shared_ptr<LogCounters> counters;  // outlives the target
  std::unique_ptr<LogTarget> target;            // the thread's own
  const std::size_t waiting;
  bool troubled = false;  // the thread's own

  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable ended_wake;
  std::deque<LogBatch> batches;  // guarded by mutex
  std::size_t bytes = 0;         // of them and of what is being written; guarded by mutex
  std::uint64_t lines = 0;       // the same; guarded by mutex
  bool closing = false;          // guarded by mutex
  bool ended = false;            // guarded by mutex
};

// Once when it begins, and once when it is over.
void LogWriter::State::tell(const Result<void>& result) {
  if (!result) {
    counters->failures.fetch_add(1, std::memory_order_relaxed);
    if (!troubled) log::error(result.error().message);
    troubled = true;
  } else if (troubled) {
    troubled = false;
    log::info("the prediction log is written again");
  }
}

void LogWriter::State::write(LogBatch batch) {
  while (!batch.empty()) {
    const auto result = target->write(batch);
    tell(result);
    if (result) continue;
    std::unique_lock lock(mutex);
    if (closing) break;
    if (!batch.empty()) rest(lock);
  }
  // Only at the end is there something left.
  const auto lost = batch.lines;
  if (lost == 0) return;
  counters->dropped.fetch_add(lost, std::memory_order_relaxed);
}

void LogWriter::State::work() {
  auto next_tick = Clock::now() + kPause;
  std::unique_lock lock(mutex);
  while (!closing || !batches.empty()) {
    wake.wait_until(lock, next_tick, [this] { return closing || !batches.empty(); });
    if (!batches.empty()) {
      LogBatch batch = std::move(batches.front());
      batches.pop_front();
      const auto size = batch.bytes();
      const auto count = batch.lines;
      lock.unlock();
      write(std::move(batch));
      lock.lock();
      bytes -= size;
      lines -= count;
    }
    if (Clock::now() < next_tick) continue;
    lock.unlock();
    if (const auto result = target->tick(); !result) tell(result);
    next_tick = Clock::now() + kPause;
    lock.lock();
  }
  lock.unlock();
  if (const auto result = target->finish(); !result) tell(result);
  // Before anybody may believe that this thread is done.
  target.reset();
  lock.lock();
  ended = true;
  ended_wake.notify_all();
}

LogWriter::LogWriter(OpenLog log, std::size_t waiting)
    : state_(std::make_shared<State>(std::move(log), waiting)) {
  std::thread([state = state_] {
    pthread_setname_np(pthread_self(), "prediction log");
    lower_priority();
    block_signals();
    state->work();
  }).detach();
}

LogWriter::~LogWriter() { close(kGrace); }

bool LogWriter::give(LogBatch batch) {
  const auto size = batch.bytes();
  const auto count = batch.lines;
  if (count == 0) return true;
  {
    const std::lock_guard lock(state_->mutex);
    // One batch is always taken, whatever its size.
    const bool full = state_->bytes > 0 && state_->bytes + size > state_->waiting;
    if (!full && !state_->closing) {
      state_->bytes += size;
      state_->lines += count;
      state_->batches.push_back(std::move(batch));
      state_->wake.notify_one();
      return true;
    }
  }
  state_->counters->dropped.fetch_add(count, std::memory_order_relaxed);
  return false;
}

bool LogWriter::close(Millis grace) {
  if (closed_) return true;
  closed_ = true;
  std::unique_lock lock(state_->mutex);
  state_->closing = true;
  state_->wake.notify_one();
  if (state_->ended_wake.wait_for(lock, grace, [this] { return state_->ended; })) return true;
  const auto lost = state_->lines;
  lock.unlock();
  state_->counters->dropped.fetch_add(lost, std::memory_order_relaxed);
  return false;
}

}  // namespace sluice::observers
