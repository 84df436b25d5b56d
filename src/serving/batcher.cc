#include "serving/batcher.h"

#include <pthread.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <system_error>

#include "base/log.h"
#include "base/turn.h"
#include "serving/late.h"

namespace sluice::serving {
namespace {

using Clock = std::chrono::steady_clock;

// The share of the time until its deadline that a request may be expected to take.
constexpr double kHopeful = 0.85;

Error ended() {
  return {Code::kUnavailable, "draining", "the model is not run any more; send it again", {}};
}

Error queue_full(std::size_t limit) {
  return {Code::kUnavailable,
          "queue_full",
          "too many requests wait for this model: its queue holds " + std::to_string(limit) +
              " (batching.max_queue); try again later",
          {}};
}

}  // namespace

void hand_back_late(std::vector<RequestPtr> requests) {
  for (auto& request : requests) request->reply.error = late_error(*request);
  hand_back(requests);
}

Batcher::Batcher(const Execution& execution, BatcherOptions options)
    : execution_(execution), options_(std::move(options)) {}

Batcher::~Batcher() { close(); }

// Runs are predicted as large as they would be, and not as large as they may be: a size that never
// ran is known only from smaller ones, as if time grew with the rows, and would never be tried.
std::chrono::nanoseconds Batcher::predicted_time() const {
  const auto& costs = execution_.costs();
  const auto before = rows_.load(std::memory_order_relaxed);
  const auto most = options_.rules.max_rows;
  const auto full = before / most;
  const auto own = before % most + 1;
  // Half a run is left, on average, of what runs now.
  const auto busy = costs.median(full > 0 ? most : own) / 2;
  return busy + costs.median(most) * static_cast<std::int64_t>(full) / options_.instances +
         costs.slow(own);
}

Result<void> Batcher::admit(TimePoint deadline) const {
  const auto waiting = requests_.load(std::memory_order_relaxed);
  if (waiting == 0) return {};
  if (waiting >= options_.max_queue) return Failure(queue_full(options_.max_queue));
  if (deadline == TimePoint::max()) return {};
  const auto now = Clock::now();
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - now);
  const auto needed = predicted_time();
  const auto hopeful = static_cast<double>(left.count()) * kHopeful;
  if (static_cast<double>(needed.count()) <= hopeful) return {};
  return unavailable("overloaded",
                     "the answer would be late: those that wait for this model take longer than "
                     "the time that is left; try again later");
}

void Batcher::insert(RequestPtr request) {
  const auto level = [&](const Request& each) {
    const auto asked = each.priority == 0 ? options_.default_priority : each.priority;
    return std::min<std::uint64_t>(asked, kPriorities);
  };
  const auto mine = level(*request);
  auto place = queue_.end();
  if (!queue_.empty() && level(*queue_.back()) > mine) {
    place = std::ranges::upper_bound(queue_, mine, {},
                                     [&](const RequestPtr& each) { return level(*each); });
  }
  queue_.insert(place, std::move(request));
}

void Batcher::push(std::span<RequestPtr> requests) {
  std::vector<RequestPtr> refused;
  bool closed = false;
  {
    const std::lock_guard lock(mutex_);
    if (workers_.empty()) start_workers();
    closed = closed_ || workers_.empty();
    for (auto& request : requests) {
      if (closed || queue_.size() >= options_.max_queue) {
        refused.push_back(std::move(request));
        continue;
      }
      rows_.fetch_add(request->rows, std::memory_order_relaxed);
      insert(std::move(request));
    }
    requests_.store(queue_.size(), std::memory_order_relaxed);
  }
  if (requests.size() > 1) {
    wake_.notify_all();
  } else {
    wake_.notify_one();
  }
  for (auto& request : refused) {
    request->reply.error = closed ? ended() : queue_full(options_.max_queue);
    resume(std::move(request));
  }
}

// As many as the system gives.
void Batcher::start_workers() {
  if (closed_) return;
  try {
    for (int i = 0; i < options_.instances; ++i) {
      workers_.emplace_back([this] {
        pthread_setname_np(pthread_self(), options_.name.substr(0, 15).c_str());
        work();
      });
    }
  } catch (const std::system_error&) {
    log::warn("there are no more threads to be had for model " + options_.name);
  }
}

bool Batcher::enter() {
  const std::lock_guard lock(mutex_);
  if (closed_ || !queue_.empty() || busy_ >= options_.instances) return false;
  ++busy_;
  return true;
}

void Batcher::leave() {
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    --busy_;
    more = !queue_.empty();
  }
  if (more) wake_.notify_one();
}

bool Batcher::take(std::vector<RequestPtr>& batch, std::vector<RequestPtr>& hopeless) {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    if (queue_.empty() || busy_ >= options_.instances) {
      wake_.wait(lock);
      continue;
    }
    const auto now = Clock::now();
    hopeless = take_hopeless(queue_, now, execution_.costs());
    const auto& rules = execution_.batchable() ? options_.rules : alone_;
    const auto next = next_batch(rules, queue_, now, execution_.costs());
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(next.count);
    batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
    for (const auto* gone : {&batch, &hopeless}) {
      for (const auto& each : *gone) rows_.fetch_sub(each->rows, std::memory_order_relaxed);
    }
    requests_.store(queue_.size(), std::memory_order_relaxed);
    if (!batch.empty()) ++busy_;
    // Whoever else sleeps may sleep until a moment that has changed.
    if (!queue_.empty() && busy_ < options_.instances) wake_.notify_one();
    if (!batch.empty() || !hopeless.empty()) return true;
    if (next.again == TimePoint::max()) continue;
    wake_.wait_until(lock, next.again);
  }
  return false;
}

void Batcher::work() {
  std::vector<RequestPtr> batch;
  std::vector<RequestPtr> hopeless;
  while (take(batch, hopeless)) {
    hand_back_late(std::exchange(hopeless, {}));
    if (batch.empty()) continue;
    execution_.run(batch);
    leave();
    hand_back(batch);
    batch.clear();
  }
}

void Batcher::sweep(TimePoint now) {
  if (waiting() == 0) return;
  std::vector<RequestPtr> hopeless;
  {
    const std::lock_guard lock(mutex_);
    hopeless = take_hopeless(queue_, now, execution_.costs());
    for (const auto& each : hopeless) rows_.fetch_sub(each->rows, std::memory_order_relaxed);
    requests_.store(queue_.size(), std::memory_order_relaxed);
  }
  hand_back_late(std::move(hopeless));
}

void Batcher::close() {
  std::vector<RequestPtr> dropped;
  std::vector<std::thread> workers;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(queue_);
    workers.swap(workers_);
    requests_.store(0, std::memory_order_relaxed);
    rows_.store(0, std::memory_order_relaxed);
  }
  wake_.notify_all();
  dropped.clear();  // each is answered by its end
  for (auto& worker : workers) worker.join();
}

}  // namespace sluice::serving
