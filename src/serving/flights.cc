#include "serving/flights.h"

#include <utility>

#include "serving/late.h"

namespace sluice::serving {

Join Flights::join(const CacheKey& key, RequestPtr& request) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto [flight, leads] = shard.waiting.try_emplace(key);
  if (leads) return Join::kLead;
  if (flight->second.size() >= kMostWaiting) return Join::kAlone;
  flight->second.push_back(std::move(request));
  return Join::kWaits;
}

std::vector<RequestPtr> Flights::land(const CacheKey& key) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto flight = shard.waiting.find(key);
  if (flight == shard.waiting.end()) return {};
  auto waited = std::move(flight->second);
  shard.waiting.erase(flight);
  return waited;
}

std::vector<RequestPtr> Flights::take_late(TimePoint now) {
  std::vector<RequestPtr> out;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto& [key, waiting] : shard.waiting) {
      for (auto& request : waiting) {
        if (is_late(*request, now)) out.push_back(std::move(request));
      }
      std::erase(waiting, nullptr);
    }
  }
  return out;
}

}  // namespace sluice::serving
