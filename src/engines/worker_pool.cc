#include "engines/worker_pool.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "base/log.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{30};  // of a run, for a worker
constexpr int kUnsentTries = 4;
constexpr Millis kLook{100};  // whether it is still wanted

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// '/usr/lib' and "name='/tmp/x'>", but not 'Berlin/West'.
bool has_path(std::string_view word) {
  for (auto at = word.find('/'); at != std::string_view::npos; at = word.find('/', at + 1)) {
    if (at == 0 || !is_alphanumeric(word[at - 1])) return true;
  }
  return false;
}

// '0x7f3a1c0b2d30>'
bool has_address(std::string_view word) {
  constexpr std::size_t kShort = 5;  // digits of a number that somebody chose
  const auto at = word.find("0x");
  if (at == std::string_view::npos) return false;
  const auto digits = word.substr(at + 2);
  return digits.substr(0, digits.find_first_not_of("0123456789abcdefABCDEF")).size() > kShort;
}

}  // namespace

std::string without_paths(std::string_view text, std::size_t limit) {
  std::string lines(text);
  std::ranges::replace(lines, '\n', ' ');
  std::string out;
  for (const auto word : split(lines, ' ')) {
    if (word.empty() || has_path(word) || has_address(word)) continue;
    if (!out.empty()) out += ' ';
    out += word;
  }
  return printable(out, limit);
}

Result<std::unique_ptr<WorkerPool>> WorkerPool::start(PoolOptions options) {
  std::unique_ptr<WorkerPool> out(new WorkerPool(std::move(options)));
  SLUICE_CHECK(out->wait_for_first());
  return out;
}

WorkerPool::WorkerPool(PoolOptions options)
    : options_(std::move(options)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      slots_(static_cast<std::size_t>(options_.workers)) {
  // The first shows what the model is; without it the others need not be started.
  for (std::size_t i = 1; i < slots_.size(); ++i) slots_[i].due = Clock::time_point::max();
  try {
    watcher_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "sluice-workers");
      watch();
    });
  } catch (const std::system_error&) {
    failed_ = Error{Code::kUnavailable, "no_process", "the system gives no more threads", {}};
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (watcher_.joinable()) watcher_.join();
}

Result<void> WorkerPool::wait_for_first() {
  std::unique_lock lock(mutex_);
  while (!described_ && !failed_) {
    changed_.wait_for(lock, kLook);
    if (options_.abandoned != nullptr && *options_.abandoned) {
      return unavailable("abandoned", "it is not wanted any more");
    }
  }
  options_.abandoned = nullptr;
  if (failed_) return Failure(*failed_);
  return {};
}

Result<void> WorkerPool::run(WorkerJob job) {
  int ended = 0;
  int unsent = 0;
  while (true) {
    SLUICE_TRY(const auto lent, take());
    std::string said;
    job.alone = lent.alone;
    const auto outcome = run_on(lent, job, said);
    if (outcome == WorkerOutcome::kDone) return {};
    // Perhaps it was somebody else who ended it; twice is no accident.
    if (outcome == WorkerOutcome::kDied && ++ended < 2) continue;
    if (outcome == WorkerOutcome::kUnsent && ++unsent < kUnsentTries) continue;
    return failure(outcome, said);
  }
}

// It is given back whatever happens: where memory is wanting in the middle of it, to be ended.
WorkerOutcome WorkerPool::run_on(const Lent& lent, const WorkerJob& job, std::string& said) {
  struct Lending {
    WorkerPool& pool;
    const Lent& lent;
    WorkerOutcome outcome = WorkerOutcome::kDied;
    ~Lending() { pool.give_back(lent, outcome); }
  };
  Lending lending{*this, lent};
  lending.outcome = lent.worker->run(job, said);
  return lending.outcome;
}

Failure WorkerPool::failure(WorkerOutcome outcome, const std::string& said) const {
  const auto failed = [](const std::string& how) {
    return fail(Code::kInternal, "engine_failed", how);
  };
  switch (outcome) {
    case WorkerOutcome::kDone: break;
    case WorkerOutcome::kUnsent:
      return unavailable("no_worker", "the model's processes end as soon as they are started");
    case WorkerOutcome::kDied:
      return failed("the model's process ended twice while it ran this input");
    case WorkerOutcome::kLate:
      return fail(Code::kDeadlineExceeded, "run_limit",
                  "the model took longer than " + std::to_string(options_.run_limit.count()) +
                      " ms (python.run_timeout in model.yaml)");
    case WorkerOutcome::kTooMuch:
      return invalid("too_large",
                     "inputs and outputs of one run take more than 2 GiB; send fewer rows at a "
                     "time");
    case WorkerOutcome::kNoMemory:
      return failed(
          "the model needs more memory for this input than python.memory in model.yaml allows");
    case WorkerOutcome::kBadInput:
      return invalid("refused", "the model refuses this input: " + without_paths(said, 300));
    case WorkerOutcome::kRaised:
      return failed("the model failed to run on this input: " + without_paths(said, 300));
  }
  return internal("a run that went well is no failure");
}

WorkerPool::Slot* WorkerPool::free_slot() {
  const auto found = std::ranges::find_if(slots_, [](const Slot& slot) {
    return slot.state == Slot::State::kReady && !slot.busy && !slot.condemned;
  });
  return found == slots_.end() ? nullptr : &*found;
}

// None runs or is about to, and each has failed again and again.
bool WorkerPool::hopeless() const {
  return std::ranges::all_of(slots_, [](const Slot& slot) {
    return slot.state == Slot::State::kDown && slot.failures > 4;
  });
}

Result<WorkerPool::Lent> WorkerPool::take() {
  std::unique_lock lock(mutex_);
  Slot* slot = nullptr;
  changed_.wait_for(lock, kPatience, [&] {
    slot = free_slot();
    return slot != nullptr || stopping_ || hopeless();
  });
  if (slot == nullptr) {
    return unavailable("no_worker",
                       "none of the model's processes is ready; they are being started again");
  }
  slot->busy = true;
  const bool alone = std::ranges::count(slots_, true, &Slot::busy) == 1;
  return Lent{static_cast<std::size_t>(slot - slots_.data()), slot->worker, alone};
}

void WorkerPool::give_back(const Lent& lent, WorkerOutcome outcome) {
  const bool spoilt = outcome == WorkerOutcome::kDied || outcome == WorkerOutcome::kLate ||
                      outcome == WorkerOutcome::kUnsent;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[lent.slot];
    if (slot.worker != lent.worker) return;  // it has been replaced meanwhile
    slot.busy = false;
    slot.condemned = spoilt;
  }
  if (spoilt) {
    wake();
  } else {
    changed_.notify_one();
  }
}

}  // namespace sluice::engines
