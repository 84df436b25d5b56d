// Traffic of two versions that never was: requests, errors and durations by chance, handed to a
// real Analysis until it has decided. The tests and `./dev bench release` run the same code.
//
// Where durations play no part, good requests are handed over in one piece between two bad ones,
// which is what makes millions of them cheap; their number is drawn, so that the judge sees what it
// would have seen one by one.
//
// Thread-safety: functions without state; an Analysis and a Random have one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "release/analysis.h"

namespace sluice::release::testing {

// Durations are lognormal.
struct Durations {
  double median = 100;  // of stable, ms
  double sigma = 0.7;
  double times = 1;  // how many times as long the canary takes
};

struct Traffic {
  double share = 0.1;  // of the canary
  // Shares one after the other in place of `share`, each for an equal part of `limit`.
  std::vector<double> ramp{};
  double stable_errors = 0.01;  // rates
  double canary_errors = 0.01;
  // The canary's first requests, which are as good as stable's; then it gets worse.
  std::uint64_t healthy = 0;
  std::uint64_t burst = 1;  // errors come so many in a row, of one arm's requests
  // Greatest rate over least, in the course of a day; the rates above are in the middle, on a
  // logarithmic scale.
  double swing = 1;
  double day = 200'000;             // requests of both arms
  std::uint64_t history = 100'000;  // stable's requests before the canary came
  std::uint64_t limit = 100'000;    // the canary's requests, at most
  std::optional<Durations> durations{};
};

struct Ending {
  enum class Kind { kOpen, kHarmful, kSafe } kind = Kind::kOpen;
  std::uint64_t canary_requests = 0;  // until then
};

// Looks at `harmful()` after every request, or every piece of good ones.
Ending until_harmful(const Traffic& traffic, Analysis& judge, Random& random);
// Looks at the verdict, too, after each of the canary's requests. Needs `durations`.
Ending until_decided(const Traffic& traffic, Analysis& judge, Random& random);

}  // namespace sluice::release::testing
