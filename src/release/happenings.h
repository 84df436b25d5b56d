// What has happened on one replica, as bytes that another one reads: how requests of releases
// ended, and what was told of them. Little endian and of fixed size, so that a million outcomes are
// tens of megabytes and are read as fast as they come.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/outcome.h"
#include "release/running_release.h"

namespace sluice::release {

// `Outcome::at` has another zero on each machine; between replicas it is in the time of the store
// that they share, milliseconds since 1970.
struct SharedClock {
  std::chrono::steady_clock::time_point here{};  // at this moment …
  WallMillis there = 0;                          // … it was so late there

  WallMillis millis(std::chrono::steady_clock::time_point at) const;
  std::chrono::steady_clock::time_point local(WallMillis millis) const;
};

struct ToldFeedback {
  std::string letter;  // whoever told it waits for an answer to that
  std::string model;   // empty: not said
  Feedback told;
};

struct Happenings {
  std::vector<Outcome> outcomes;
  std::vector<ToldFeedback> feedback;
};

std::string bytes_of(const Happenings& happenings, const SharedClock& clock);

// Whoever reads sees `at` in its own time, and the store's beside it. What cannot be read, of a
// newer release's replica say, ends it: false.
struct HappeningReader {
  std::function<void(const Outcome& outcome, WallMillis at)> outcome;
  std::function<void(ToldFeedback told)> feedback;
};
bool read_happenings(std::string_view bytes, const SharedClock& clock,
                     const HappeningReader& reader);

}  // namespace sluice::release
