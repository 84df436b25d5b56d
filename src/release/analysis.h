// What a canary is judged by: finished requests of both arms go in, a verdict can be had at any
// time. No clock, lock or disk inside, so that simulations run the very code that decides.
//
// Thread-safety: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "statistics/burstiness.h"

namespace sluice::release {

using json = nlohmann::ordered_json;
using TimePoint = std::chrono::steady_clock::time_point;

struct AnalysisOptions {
  double alpha = 0.01;           // how often a healthy canary may be taken back
  double promote_alpha = 0.05;   // how often one that is too bad may be promoted
  double max_error_ratio = 1.0;  // how many times stable's error rate is too bad
  double max_p95_ratio = 1.5;    // how many times slower is too slow
  std::uint64_t min_requests = 100;
  // The canary's first requests say nothing of its speed, until so many or so long.
  std::uint64_t warm_up_requests = 50;
  std::chrono::milliseconds warm_up_time{10'000};
  // ms; so much slower is nothing, whatever the ratio: 0.3 ms after 0.1 ms is three times as slow,
  // and no user will ever notice.
  double latency_slack = 1.0;
};

// One finished request that its arm is to be judged by.
struct Observation {
  bool canary = false;
  double share = 0;  // of the canary, when the arm was chosen; 0 and 1: nothing to compare
  bool failed = false;
  bool unsound = false;    // answered, and the answer broke a guard
  double millis = -1;      // below 0: says nothing of speed
  std::uint64_t unit = 0;  // of the user; 0: anonymous
  TimePoint at{};
};

struct Verdict {
  enum class Kind {
    kOpen,     // not enough is known
    kHarmful,  // the canary must go
    kSafe,     // it is not worse than allowed
  } kind = Kind::kOpen;
  std::string why;  // a sentence without its end, with the numbers
};

class Analysis {
 public:
  virtual ~Analysis() = default;
  virtual void observe(const Observation& observation) = 0;
  // The same as `count` observations of good answers that say nothing of speed, at no fixed time.
  virtual void answered(bool canary, std::uint64_t count) = 0;
  // A prediction of which it has become known whether it was right.
  virtual void label(bool canary, double share, bool wrong) = 0;
  // As cheap as it can be asked after every event; once true it stays so.
  virtual bool harmful() const = 0;
  virtual Verdict verdict() const = 0;
  // How stable's errors came together before the canary began, in so many requests.
  virtual void learn(const statistics::Burstiness& bursts, std::uint64_t requests) = 0;
  // For `status`, and what must survive a restart bit by bit.
  virtual nlohmann::ordered_json evidence() const = 0;
  virtual nlohmann::ordered_json state() const = 0;
  virtual void restore(const nlohmann::ordered_json& state) = 0;
};

std::unique_ptr<Analysis> make_sequential(const AnalysisOptions& options);
std::unique_ptr<Analysis> make_seed_rule();

}  // namespace sluice::release
