// Trying again what may pass: with pauses that grow and differ, so that many who were cut off at
// once do not come back at once.
//
// Thread-safety: functions without state.
#pragma once

#include <atomic>
#include <chrono>

#include "base/error.h"

namespace sluice::sources {

inline constexpr int kTries = 5;

// Before the try of this number (from 1 on); at least half of 200 ms, doubled each time, up to 5 s.
std::chrono::milliseconds pause_before(int retry);

// False when stopped.
bool rest(std::chrono::milliseconds pause, const std::atomic<bool>& stop);

// What another try may mend: not what is forbidden, missing or wrong.
inline bool may_pass(const Error& error) {
  return error.code == Code::kUnavailable && error.reason != "changing" &&
         error.reason != "not_a_store";
}

// The first result that is good or cannot be mended, else the last. `attempt` answers a Result.
template <class Attempt>
auto with_retries(const std::atomic<bool>& stop, Attempt attempt, int tries = kTries) {
  auto result = attempt();
  for (int retry = 1; retry < tries && !result && may_pass(result.error()); ++retry) {
    if (!rest(pause_before(retry), stop)) break;
    result = attempt();
  }
  return result;
}

}  // namespace sluice::sources
