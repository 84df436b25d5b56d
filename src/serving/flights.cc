#include "serving/flights.h"

#include <utility>

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

}  // namespace sluice::serving
