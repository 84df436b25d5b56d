// What replicas say to each other through Redis: each call is one program there, and one round
// trip.
//
// Thread-safety: a Fleet's.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/fleet.h"
#include "state/redis_calls.h"

namespace sluice::state {

class RedisFleet final : public Fleet {
 public:
  // `token`: of what the store writes. Both outlive this.
  RedisFleet(RedisCalls& calls, std::atomic<std::uint64_t>& token) : calls_(calls), token_(token) {}

  Result<BeatHeard> beat(const BeatSaid& said) override;
  Result<void> leave(std::string_view replica) override;
  Result<std::string> agree(std::string_view name, std::string_view text) override;
  void write_under(std::uint64_t token) override { token_ = token; }
  Result<std::uint64_t> publish(std::uint64_t token, std::string_view model,
                                std::string_view text) override;
  Result<std::vector<FleetEvent>> events(std::uint64_t token, std::uint64_t place) override;
  Result<void> forget(std::uint64_t token, std::uint64_t place) override;

 private:
  RedisCalls& calls_;
  std::atomic<std::uint64_t>& token_;
};

}  // namespace sluice::state
