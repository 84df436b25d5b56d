// How workers are started, watched and started again: the watching half of worker_pool.h.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "engines/worker_pool.h"

namespace sluice::engines {
namespace {

using std::chrono::seconds;

// Importing scikit-learn, by the clock: disks may be slow.
constexpr seconds kStartLimit{120};
constexpr seconds kProven{10};  // having lived so long
constexpr Millis kLastWords{500};
constexpr int kLookMs = 100;  // at the processor time of those that load
constexpr std::size_t kMostLines = 20;
constexpr std::size_t kMostOfLine = 300;

// The first time at once.
Millis back_off(int failures) {
  if (failures <= 1) return Millis(0);
  return std::min(Millis(100) * (1 << std::min(failures - 2, 10)), Millis(30'000));
}

}  // namespace

void WorkerPool::wake() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

void WorkerPool::watch() {
  while (start_due()) wait_for_events();
  for (auto& slot : slots_) {
    if (slot.worker != nullptr) slot.worker->process().bury();
  }
}

// False: the end.
bool WorkerPool::start_due() {
  for (auto& slot : slots_) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
    }
    if (slot.state == Slot::State::kDown && slot.due <= Clock::now()) start_worker(slot);
  }
  return true;
}

void WorkerPool::start_worker(Slot& slot) {
  auto started = PythonWorker::start(options_.worker);
  // A Python in somebody's home is not for another user: then it runs as we do.
  if (!started && !described_ && std::exchange(options_.worker.own_user, false)) {
    started = PythonWorker::start(options_.worker);
  }
  if (!started) {
    if (!described_) return fail_first(std::move(started).error());
    const std::lock_guard lock(mutex_);
    slot.due = Clock::now() + back_off(++slot.failures + 1);
    return;
  }
  const std::lock_guard lock(mutex_);
  slot.worker = std::move(*started);
  slot.state = Slot::State::kStarting;
  slot.since = Clock::now();
  slot.silent = false;
  slot.line.clear();
}

void WorkerPool::wait_for_events() {
  std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
  auto until = Clock::now() + std::chrono::hours(1);
  for (const auto& slot : slots_) {
    if (slot.worker == nullptr) {
      until = std::min(until, slot.due);
      continue;
    }
    const bool starting = slot.state != Slot::State::kReady;
    if (starting) until = std::min(until, Clock::now() + Millis(kLookMs));
    auto& process = slot.worker->process();
    polled.push_back({process.ended().get(), POLLIN, 0});
    // Once it is ready, what it says is for whoever runs it; that it has hung up is for us.
    polled.push_back({slot.worker->socket().get(), static_cast<short>(starting ? POLLIN : 0), 0});
    polled.push_back({slot.silent ? -1 : process.output().get(), POLLIN, 0});
  }
  const auto left = std::chrono::ceil<Millis>(until - Clock::now()).count();
  ::poll(polled.data(), polled.size(), static_cast<int>(std::max<Millis::rep>(left, 0)));
  if (polled[0].revents != 0) {
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof(count));
  }
  auto at = polled.begin() + 1;
  for (auto& slot : slots_) {
    if (slot.worker == nullptr) continue;
    const bool ended = at[0].revents != 0 || (at[1].revents & (POLLHUP | POLLERR)) != 0;
    const bool spoke = at[2].revents != 0;
    at += 3;
    if (spoke) read_output(slot);
    look_at(slot, ended);
  }
}

void WorkerPool::look_at(Slot& slot, bool ended) {
  bool condemned = false;
  {
    const std::lock_guard lock(mutex_);
    condemned = slot.condemned;
  }
  // All that it said before it ended is heard first: why it could not load the model, perhaps.
  while (slot.worker != nullptr && slot.state != Slot::State::kReady && hear(slot)) {
  }
  if (slot.worker == nullptr) return;
  if (ended || condemned) return end(slot, condemned ? "it was given up" : "it ended");
  if (slot.state != Slot::State::kReady) check_limits(slot);
}

// False when it has said no more.
bool WorkerPool::hear(Slot& slot) {
  std::string said;
  switch (slot.worker->news(said)) {
    case WorkerNews::kNothing: return false;
    case WorkerNews::kHello: {
      slot.used = slot.worker->process().processor_time();
      const std::lock_guard lock(mutex_);
      slot.state = Slot::State::kLoading;
      slot.since = Clock::now();
      break;
    }
    case WorkerNews::kLoaded: loaded(slot, std::move(said)); break;
    case WorkerNews::kRefused:
      if (!described_) {
        fail_first({Code::kInvalidArgument,
                    "bad_model",
                    "scikit-learn cannot serve it: " + without_paths(said, 500),
                    {}});
      }
      end(slot, "it could not load the model");
      break;
    case WorkerNews::kGone: end(slot, "it ended"); break;
  }
  return true;
}

void WorkerPool::loaded(Slot& slot, std::string said) {
  const auto& missing = slot.worker->process().missing();
  if (!told_missing_ && !missing.empty()) {
    log::info(options_.name + ": its processes run without " + join_and(missing) +
              ", which this system does not give them");
  }
  told_missing_ = true;
  slot.worker->limit_runs(options_.run_limit);
  {
    const std::lock_guard lock(mutex_);
    if (!described_) {
      description_ = std::move(said);
      memory_ = slot.worker->process().memory() * slots_.size();
      for (auto& other : slots_) {
        if (&other != &slot) other.due = Clock::now();
      }
      described_ = true;
    }
    slot.state = Slot::State::kReady;
    slot.since = Clock::now();
  }
  changed_.notify_all();
}

void WorkerPool::check_limits(Slot& slot) {
  const auto waited = Clock::now() - slot.since;
  if (slot.state == Slot::State::kStarting) {
    if (waited > kStartLimit) end(slot, "its Python did not start in time");
    return;
  }
  const auto limit = options_.load_limit;
  const auto used = slot.worker->process().processor_time() - slot.used;
  if (used <= limit && waited <= 10 * limit) return;
  if (!described_) {
    const bool busy = used > limit;
    fail_first({Code::kInvalidArgument,
                "bad_model",
                "it was not loaded within " + std::to_string((busy ? limit : 10 * limit).count()) +
                    (busy ? " s of a processor's time" : " s") +
                    "; python.load_timeout in model.yaml allows more",
                {}});
  }
  end(slot, "it took too long to load the model");
}

// Buries it, and plans the next.
void WorkerPool::end(Slot& slot, std::string_view why) {
  const bool before_hello = slot.state == Slot::State::kStarting;
  slot.worker->hang_up();
  // Its socket closes before it has ended: how it ends is to be its own doing.
  if (slot.state != Slot::State::kReady) slot.worker->process().wait(kLastWords);
  const auto how = slot.worker->process().bury();
  read_output(slot);
  // The same for its packages. Never once it has worked: whoever ends a process that starts must
  // not be given another with more power.
  const bool as_we = before_hello && !described_ && options_.worker.own_user;
  if (as_we) options_.worker.own_user = false;
  if (!described_ && !as_we) {
    const bool killed = how == "SIGKILL";
    const std::string what = before_hello ? "Python ended before it had imported scikit-learn"
                                          : "the process that unpickled it ended";
    fail_first({killed ? Code::kUnavailable : Code::kInvalidArgument,
                killed ? "killed" : "bad_model",
                what + " (" + how + ")",
                {}});
  }
  if (described_) {
    log::warn(options_.name + ": a process of it is started again: " + std::string(why) + " (" +
              how + ")");
  }
  {
    const std::lock_guard lock(mutex_);
    const bool proven = slot.state == Slot::State::kReady && Clock::now() - slot.since > kProven;
    slot.failures = proven ? 1 : slot.failures + (as_we ? 0 : 1);
    slot.due = failed_ ? Clock::time_point::max() : Clock::now() + back_off(slot.failures);
    slot.state = Slot::State::kDown;
    slot.worker = nullptr;
    slot.busy = false;
    slot.condemned = false;
  }
  changed_.notify_all();
}

void WorkerPool::fail_first(Error error) {
  {
    const std::lock_guard lock(mutex_);
    for (auto& slot : slots_) slot.due = Clock::time_point::max();
    if (!failed_) failed_ = std::move(error);
  }
  changed_.notify_all();
}

void WorkerPool::read_output(Slot& slot) {
  std::array<char, 4096> chunk{};
  // Bounded: one that never stops writing keeps nobody here.
  for (int i = 0; i < 16; ++i) {
    const auto got = ::read(slot.worker->process().output().get(), chunk.data(), chunk.size());
    if (got == 0) slot.silent = true;
    if (got <= 0) return;
    for (const char c : std::string_view(chunk.data(), static_cast<std::size_t>(got))) {
      if (c == '\n') {
        log_line(slot.line);
        slot.line.clear();
      } else if (slot.line.size() < kMostOfLine) {
        slot.line += c;
      }
    }
  }
}

// Each line once, and not many.
void WorkerPool::log_line(std::string_view line) {
  const auto text = without_paths(line, kMostOfLine);
  if (text.empty() || lines_.size() > kMostLines || !lines_.insert(text).second) return;
  if (lines_.size() > kMostLines) {
    log::warn(options_.name + " prints more, which is not logged");
  } else {
    log::warn(options_.name + " prints: " + text);
  }
}

}  // namespace sluice::engines
