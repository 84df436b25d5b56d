#include "release/comparison.h"

#include <algorithm>
#include <cmath>

#include "release/json_state.h"
#include "statistics/posterior.h"

namespace sluice::release {
namespace {

using statistics::EProcess;

// One user who tries again and again is one bad event.
constexpr std::chrono::seconds kUnitWindow{1};
constexpr std::size_t kMostUnits = 4096;
// An error rate below this is as good as none.
constexpr double kNegligible = 0.001;
// Where a fifth of stable's are slow, no more than five times as many can be.
constexpr std::array<double, 4> kSlower = {1.25, 1.5, 2, 3};
// Twice as slow must be excluded before a promotion, where 1.5 times is allowed.
constexpr double kSafeSlower = 4.0 / 3.0;

}  // namespace

RateComparison::RateComparison(std::string what, double harm_ratio, double safe_ratio,
                               double budget)
    : what_(std::move(what)),
      budget_(budget),
      limit_(1 / budget),
      harm_(harm_ratio, EProcess::worse()),
      safe_(safe_ratio, EProcess::better()),
      temper_(bursts_.factor(0)) {}

void RateComparison::learn(const statistics::Burstiness& bursts, std::uint64_t requests) {
  bursts_ = bursts;
  before_ = requests;
  temper_ = bursts_.factor(before_);
}

bool RateComparison::counted_lately(std::uint64_t unit, TimePoint at) {
  if (unit == 0) return false;
  if (units_.size() >= kMostUnits) {
    std::erase_if(units_, [&](const auto& entry) { return at - entry.second >= kUnitWindow; });
    if (units_.size() >= kMostUnits) return false;
  }
  const auto [found, fresh] = units_.try_emplace(unit, at);
  if (fresh) return false;
  const bool lately = at - found->second < kUnitWindow;
  if (!lately) found->second = at;
  return lately;
}

void RateComparison::observe(bool canary, double share, bool bad, std::uint64_t unit,
                             TimePoint at) {
  ArmTotals& arm = arms_[canary ? 1 : 0];
  ++arm.requests;
  if (!bad) return;
  ++arm.bad;
  if (counted_lately(unit, at)) return;
  // What is known of bursts before this event decides what it is worth.
  harm_.add(canary, share, temper_);
  safe_.add(canary, share, temper_);
  if (canary) return;
  const std::uint64_t position = before_ + arm.requests;
  bursts_.bad(position - 1);
  temper_ = bursts_.factor(position);
}

bool RateComparison::safe(double alpha, std::uint64_t min_requests) const {
  const ArmTotals& stable = arm(false);
  const ArmTotals& canary = arm(true);
  if (canary.requests < min_requests) return false;
  if (stable.bad == 0 && canary.bad == 0) return true;
  if (safe_.best() >= 1 / alpha) return true;
  // Clopper and Pearson's upper bound of the canary's rate.
  const auto bad = static_cast<double>(canary.bad);
  const auto good = static_cast<double>(canary.requests) - bad;
  return good > 0 && statistics::beta_below(bad + 1, good, kNegligible) >= 1 - alpha;
}

json RateComparison::evidence() const {
  const auto n = static_cast<double>(std::max<std::uint64_t>(1, arm(true).requests));
  json out = {{"metric", what_},
              {"e", harm_.e()},
              {"log_e", harm_.log_e()},
              {"p_value", 1 / harm_.best()},
              {"limit", 1 / budget_},
              {"alpha", budget_},
              {"safe_e", safe_.e()},
              {"burst_size", temper_},
              {"stable", {{"requests", arm(false).requests}, {"bad", arm(false).bad}}},
              {"canary", {{"requests", arm(true).requests}, {"bad", arm(true).bad}}}};
  if (arm(true).bad == 0) out["canary"]["rate_below"] = std::min(1.0, -std::log(0.05) / n);
  return out;
}

json RateComparison::state() const {
  return {{"harm", to_json(harm_)},
          {"safe", to_json(safe_)},
          {"bursts", to_json(bursts_)},
          {"before", before_},
          {"temper", temper_},
          {"arms", {{arms_[0].requests, arms_[0].bad}, {arms_[1].requests, arms_[1].bad}}}};
}

void RateComparison::restore(const json& state) {
  from_json_state(part_of(state, "harm"), harm_);
  from_json_state(part_of(state, "safe"), safe_);
  from_json_state(part_of(state, "bursts"), bursts_);
  before_ = count_in(state, "before");
  temper_ = number_in(state, "temper", temper_);
  const auto& arms = part_of(state, "arms");
  for (std::size_t i = 0; i < 2 && arms.is_array() && arms.size() == 2; ++i) {
    if (arms[i].is_array() && arms[i].size() == 2 && arms[i][0].is_number_unsigned() &&
        arms[i][1].is_number_unsigned()) {
      arms_[i] = {arms[i][0].get<std::uint64_t>(), arms[i][1].get<std::uint64_t>()};
    }
  }
}

LatencyComparison::LatencyComparison(double harm_ratio, double slack, double budget)
    : harm_ratio_(harm_ratio),
      safe_ratio_(harm_ratio * kSafeSlower),
      slack_(slack),
      budget_(budget),
      limit_(1 / budget),
      harm_{EProcess(1, kSlower), EProcess(1, kSlower)},
      safe_(1, EProcess::better()) {}

void LatencyComparison::freeze() {
  frozen_ = true;
  for (std::size_t i = 0; i < kQuantiles.size(); ++i) {
    slow_[i] = sketches_[0].upper_quantile(kQuantiles[i]);
  }
}

// The mean of several e-values is one again.
double LatencyComparison::mean_e() const { return (harm_[0].e() + harm_[1].e()) / 2; }

void LatencyComparison::count(std::size_t place, bool canary, double share) {
  harm_[place].add(canary, share, temper_[place]);
  if (canary) {
    best_ = std::max(best_, mean_e());
    return;
  }
  bursts_[place].bad(stable_seen_ - 1);
  // Slow answers are frequent: independent ones have a factor below 1.
  temper_[place] = std::max(1.0, bursts_[place].factor(stable_seen_));
}

void LatencyComparison::prepare(double millis) {
  if (frozen_) return;
  sketches_[0].add(millis);
  if (sketches_[0].count() >= kFirst) freeze();
}

void LatencyComparison::observe(bool canary, double share, double millis) {
  if (!frozen_ && !canary) return prepare(millis);
  sketches_[canary ? 1 : 0].add(millis);
  if (!frozen_) return;
  if (!canary) ++stable_seen_;
  for (std::size_t i = 0; i < slow_.size(); ++i) {
    const double limit = canary ? slow_[i] * harm_ratio_ + slack_ : slow_[i];
    if (millis > limit) count(i, canary, share);
  }
  const double safe_limit = canary ? slow_[0] * safe_ratio_ + slack_ : slow_[0];
  if (millis > safe_limit) safe_.add(canary, share, temper_[0]);
}

bool LatencyComparison::safe(double alpha) const { return frozen_ && safe_.best() >= 1 / alpha; }

json LatencyComparison::evidence() const {
  return {{"metric", "latency"},
          {"e", mean_e()},
          {"log_e", std::log(mean_e())},
          {"p_value", 1 / best_},
          {"limit", 1 / budget_},
          {"alpha", budget_},
          {"safe_e", safe_.e()},
          {"burst_size", std::max(temper_[0], temper_[1])},
          {"slow_ms", frozen_ ? json(slow_) : json()},
          {"stable", {{"p50", sketches_[0].quantile(0.5)}, {"p95", p95(false)}}},
          {"canary", {{"p50", sketches_[1].quantile(0.5)}, {"p95", p95(true)}}}};
}

json LatencyComparison::state() const {
  return {{"frozen", frozen_},
          {"slow", slow_},
          {"harm", {to_json(harm_[0]), to_json(harm_[1])}},
          {"safe", to_json(safe_)},
          {"bursts", {to_json(bursts_[0]), to_json(bursts_[1])}},
          {"temper", temper_},
          {"stable_seen", stable_seen_},
          {"best", best_},
          {"sketches", {to_json(sketches_[0]), to_json(sketches_[1])}}};
}

void LatencyComparison::restore(const json& state) {
  frozen_ = flag_in(state, "frozen");
  stable_seen_ = count_in(state, "stable_seen");
  best_ = number_in(state, "best", 1);
  from_json_state(part_of(state, "safe"), safe_);
  const auto pair = [&](const char* key, auto restore_one) {
    const auto& part = part_of(state, key);
    for (std::size_t i = 0; i < 2 && part.is_array() && part.size() == 2; ++i) {
      restore_one(part[i], i);
    }
  };
  pair("slow", [&](const json& from, std::size_t i) {
    if (from.is_number()) slow_[i] = from.get<double>();
  });
  pair("temper", [&](const json& from, std::size_t i) {
    if (from.is_number()) temper_[i] = from.get<double>();
  });
  pair("harm", [&](const json& from, std::size_t i) { from_json_state(from, harm_[i]); });
  pair("bursts", [&](const json& from, std::size_t i) { from_json_state(from, bursts_[i]); });
  pair("sketches", [&](const json& from, std::size_t i) { from_json_state(from, sketches_[i]); });
}

}  // namespace sluice::release
