// The canary's bad events of one kind against stable's: evidence of harm, evidence of safety, and
// how much of it is allowed to be chance.
//
// Thread-safety: one owner. Methods: docs/decisions/0033.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "release/analysis.h"
#include "statistics/burstiness.h"
#include "statistics/e_process.h"
#include "statistics/latency_sketch.h"

namespace sluice::release {

struct ArmTotals {
  std::uint64_t requests = 0;
  std::uint64_t bad = 0;
  double rate() const {
    return requests == 0 ? 0 : static_cast<double>(bad) / static_cast<double>(requests);
  }
};

// Errors, answers that are not finite, wrong predictions.
class RateComparison {
 public:
  // `harm_ratio`: how many times stable's rate is too bad; `safe_ratio`: what must be excluded
  // before a promotion; `budget`: this comparison's part of alpha.
  RateComparison(std::string what, double harm_ratio, double safe_ratio, double budget);

  void observe(bool canary, double share, bool bad, std::uint64_t unit, TimePoint at);
  // So many good ones at once.
  void answered(bool canary, std::uint64_t count) { arms_[canary ? 1 : 0].requests += count; }
  bool harmful() const { return harm_.best() >= limit_; }
  // Not worse than `safe_ratio` times stable, with an error of at most `alpha`.
  bool safe(double alpha, std::uint64_t min_requests) const;

  const ArmTotals& arm(bool canary) const { return arms_[canary ? 1 : 0]; }
  double temper() const { return temper_; }
  const std::string& what() const { return what_; }
  nlohmann::ordered_json evidence() const;
  nlohmann::ordered_json state() const;
  void restore(const nlohmann::ordered_json& state);
  // Bursts that stable is known for from before.
  void learn(const statistics::Burstiness& bursts, std::uint64_t requests);

 private:
  bool counted_lately(std::uint64_t unit, TimePoint at);

  const std::string what_;
  const double budget_;
  const double limit_;  // of E
  statistics::EProcess harm_;
  statistics::EProcess safe_;
  statistics::Burstiness bursts_;  // of stable
  std::uint64_t before_ = 0;       // stable's requests that `bursts_` has from before
  double temper_;
  std::array<ArmTotals, 2> arms_;                       // stable, canary
  std::unordered_map<std::uint64_t, TimePoint> units_;  // with a bad event lately
};

// Slow answers. Slow is what stable's slowest fifth and twentieth are, found out once; the canary
// may be `harm_ratio` times as slow.
class LatencyComparison {
 public:
  LatencyComparison(double harm_ratio, double slack, double budget);

  // A duration of stable's from before the canary is looked at: what slow is may be learned from
  // it, as from anything that was known before.
  void prepare(double millis);
  void observe(bool canary, double share, double millis);
  bool harmful() const { return best_ >= limit_; }
  bool safe(double alpha) const;

  double p95(bool canary) const { return sketches_[canary ? 1 : 0].quantile(0.95); }
  nlohmann::ordered_json evidence() const;
  nlohmann::ordered_json state() const;
  void restore(const nlohmann::ordered_json& state);
  // Until stable has been seen so often, nobody knows what slow is.
  static constexpr std::uint64_t kFirst = 200;

 private:
  static constexpr std::array<double, 2> kQuantiles = {0.80, 0.95};

  void freeze();
  double mean_e() const;
  void count(std::size_t place, bool canary, double share);

  const double harm_ratio_;
  const double safe_ratio_;
  const double slack_;
  const double budget_;
  const double limit_;
  bool frozen_ = false;
  std::array<double, 2> slow_{};  // ms
  std::array<statistics::EProcess, 2> harm_;
  statistics::EProcess safe_;
  std::array<statistics::Burstiness, 2> bursts_;
  std::array<double, 2> temper_{1, 1};
  std::uint64_t stable_seen_ = 0;  // since slow is known
  double best_ = 1;                // greatest mean E
  std::array<statistics::LatencySketch, 2> sketches_;
};

}  // namespace sluice::release
