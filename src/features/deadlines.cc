#include "features/deadlines.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>

#include "base/log.h"

namespace sluice::features {
namespace {

using Clock = std::chrono::steady_clock;

// How much later than it might somebody is told: many are due in one of these.
constexpr std::chrono::milliseconds kTick{2};

bool later(const std::shared_ptr<Gathering>& a, const std::shared_ptr<Gathering>& b) {
  return a->due > b->due;
}

}  // namespace

void Deadlines::add(std::shared_ptr<Gathering> gathering) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  const bool first = heap_.empty() || gathering->due < heap_.front()->due;
  heap_.push_back(std::move(gathering));
  std::ranges::push_heap(heap_, later);
  if (!thread_.joinable()) start();
  if (sleeping_ && first) wake_.notify_one();
}

void Deadlines::start() {
  try {
    thread_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), "feature clock");
      run();
    });
  } catch (const std::system_error&) {
    log::error("the system has no thread left for the clock of features");
  }
}

void Deadlines::close() {
  std::vector<std::shared_ptr<Gathering>> dropped;
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(heap_);
    thread.swap(thread_);
  }
  wake_.notify_one();
  if (thread.joinable()) thread.join();
  // Answered by their end.
  for (const auto& each : dropped) {
    if (each->take()) each->request.reset();
  }
}

void Deadlines::run() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    sleeping_ = true;
    if (heap_.empty()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, std::max(heap_.front()->due, Clock::now() + kTick));
    }
    sleeping_ = false;
    if (closed_) return;
    std::vector<std::shared_ptr<Gathering>> gone;
    std::vector<std::shared_ptr<Gathering>> due;
    const auto now = Clock::now();
    while (!heap_.empty() && heap_.front()->due <= now) {
      std::ranges::pop_heap(heap_, later);
      auto& last = heap_.back();
      (last->take() ? due : gone).push_back(std::move(last));
      heap_.pop_back();
    }
    lock.unlock();
    if (!due.empty()) ended_(std::move(due));
    gone.clear();
    lock.lock();
  }
}

}  // namespace sluice::features
