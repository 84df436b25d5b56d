#include "frontends/cost_report.h"

namespace sluice::frontends {

CostReport& CostReport::operator+=(const CostReport& other) {
  requests += other.requests;
  hits += other.hits;
  misses += other.misses;
  executions += other.executions;
  rows += other.rows;
  saved += other.saved;
  return *this;
}

CostReport cost_report(const ModelEntry& entry) {
  const CostOptions cost = entry.config.cost.value_or(CostOptions());
  CostReport out;
  for (const auto& servable : entry.ready) {
    const auto sums = servable->tally().sums();
    out.requests += sums.success.count;
    out.hits += sums.cache_hit.count;
    out.misses += sums.cache_miss.count;
    out.executions += sums.executions;
    out.rows += sums.rows;
    out.saved += static_cast<double>(sums.cache_hit.count) * cost.per_request;
    for (const auto& batch : servable->tally().batches()) {
      const auto rows = static_cast<double>(batch.rows);
      if (batch.rows < 2) continue;
      out.saved += static_cast<double>(batch.count) * (rows * cost.per_request - cost.per_batch);
    }
  }
  return out;
}

}  // namespace sluice::frontends
