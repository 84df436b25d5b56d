// What batching and the cache have saved, from counts and `cost:` in model.yaml.
//
// Measured against running every row alone, which costs `per_request`. A row from the cache costs
// nothing; a run of a single row costs `per_request`; a run of n > 1 rows costs `per_batch`, so it
// saves n × per_request − per_batch, which is less than nothing while n < per_batch / per_request.
// (The seed's program charges the same for a batch, but counts it for batches of one as well and
// leaves the cache's savings out.)
//
// Thread-safety: a function without state.
#pragma once

#include <cstdint>

#include "core/serving_table.h"

namespace sluice::frontends {

struct CostReport {
  std::uint64_t requests = 0;  // answered: from the cache or by a run
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t executions = 0;
  std::uint64_t rows = 0;  // of these executions
  double saved = 0;

  double hit_rate() const { return requests == 0 ? 0 : double(hits) / double(requests); }
  double average_batch() const { return executions == 0 ? 0 : double(rows) / double(executions); }
  CostReport& operator+=(const CostReport& other);
};

// Of a model's versions that are served now.
CostReport cost_report(const ModelEntry& entry);

}  // namespace sluice::frontends
