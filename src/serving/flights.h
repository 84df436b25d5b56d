// Equal requests at the same time run once: the first leads, the others wait for its answer.
//
// Whoever leads must `land` on every way out, with an answer, an error or none, or those that wait
// do so until they are dropped with the Flights. It then answers them, or sends them on.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/request.h"
#include "serving/response_cache.h"

namespace sluice::serving {

enum class Join : std::uint8_t {
  kLead,   // nobody was under way: run, then `land`
  kWaits,  // the request was taken and comes out of `land`
  kAlone,  // as many wait as may: run, and do not `land`
};

class Flights {
 public:
  // Those that wait are answered one after the other by the thread that lands, so their number is
  // also a bound on how long that keeps it.
  static constexpr std::size_t kMostWaiting = 1024;

  Flights() = default;
  Flights(const Flights&) = delete;
  Flights& operator=(const Flights&) = delete;

  // Takes `request` with kWaits only.
  Join join(const CacheKey& key, RequestPtr& request);
  // Ends the flight and gives those that waited, in the order they came; the next to join leads.
  // None when nobody is under way.
  std::vector<RequestPtr> land(const CacheKey& key);
  // Those that wait and whose deadline has passed, or whom nobody waits for any more.
  std::vector<RequestPtr> take_late(TimePoint now);

 private:
  struct Hash {
    std::size_t operator()(const CacheKey& key) const { return key.low; }
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    // Guarded by `mutex`.
    std::unordered_map<CacheKey, std::vector<RequestPtr>, Hash> waiting;
  };
  static constexpr std::size_t kShards = 64;

  Shard& shard_of(const CacheKey& key) { return shards_[key.high % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace sluice::serving
