// What runs next: the pure step of batching.
//
// It looks at what waits and at the time, and says which requests go now, which can go no more, or
// when to look again. No clock, no lock, no thread: the Batcher around it has those.
//
// Thread-safety: functions and values of one owner.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/model_config.h"
#include "core/request.h"
#include "serving/cost_model.h"

namespace sluice::serving {

struct BatchRules {
  BatchPolicy policy = BatchPolicy::kEager;
  std::size_t max_rows = 1;             // of one run, unless a single request has more
  std::chrono::nanoseconds max_wait{};  // policy wait: how long a batch is held open
  std::vector<std::size_t> preferred;   // ascending; empty: any size is as good

  static BatchRules of(const Batching& batching, bool batchable);
};

struct NextBatch {
  // These are at the front of what waits, in their order. None: look again at `again`.
  std::size_t count = 0;
  TimePoint again = TimePoint::max();
};

// Chooses among `waiting`, which has its first request in front, and moves the members of the
// batch to the front. Members have rows of the same shape as the first; together they have at most
// `max_rows`, unless the first alone has more. `run_time` is what the run would take: policy wait
// closes a batch earlier where a deadline demands it.
NextBatch next_batch(const BatchRules& rules, std::span<RequestPtr> waiting, TimePoint now,
                     const CostModel& costs);

// Takes those out of `waiting` that nobody waits for any more, or that cannot be done in time even
// if they ran alone now.
std::vector<RequestPtr> take_hopeless(std::vector<RequestPtr>& waiting, TimePoint now,
                                      const CostModel& costs);

}  // namespace sluice::serving
