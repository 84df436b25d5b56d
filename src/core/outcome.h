// How one request of a release ended: what the release learns from.
//
// Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "core/policy.h"

namespace sluice {

enum class Ending : std::uint8_t {
  kAnswered,
  kFailed,   // by a fault of the model's or of ours
  kShed,     // refused for want of room or time: overload hits all arms
  kMistake,  // the client's
  kGuarded   // refused by a guard for what was asked; for what was answered: kFailed
};
inline constexpr std::size_t kEndings = 5;
// As metrics and logs call it: "success", "failure", "overload", "client_error", "guard".
std::string_view word_of(Ending ending);

struct Request;
// Of a request whose reply is complete.
Ending ending_of(const Request& request);

// A request's id by which feedback finds it: a 128-bit hash, so that all have one size.
struct RequestKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const RequestKey&, const RequestKey&) = default;
};

struct Outcome {
  Choice choice;
  Ending ending = Ending::kAnswered;
  bool unsound = false;   // its answer broke a guard: NaN, infinity, out of `guard.outputs`
  bool recalled = false;  // from the cache: says nothing of the model's speed
  float millis = 0;       // from its arrival to its answer
  RequestKey id;
  double prediction = kNone;  // of one row; NaN: none, or not a number
  double label = kNone;       // `true_label` of the request itself
  std::chrono::steady_clock::time_point at{};

  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace sluice
