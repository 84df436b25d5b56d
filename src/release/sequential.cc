// The default analysis: always-valid tests that may be looked at after every request, and still
// take a healthy canary back with probability at most alpha, however long it runs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "release/analysis.h"
#include "release/comparison.h"
#include "release/json_state.h"

namespace sluice::release {
namespace {

// How alpha is shared out: wrong answers and NaN are rare guests, errors and speed are not.
constexpr double kErrors = 0.4;
constexpr double kLatency = 0.4;
constexpr double kSound = 0.1;
constexpr double kAccuracy = 0.1;
// What must be excluded before a promotion, in times of what is allowed.
constexpr double kSafeMargin = 1.5;
// So many failures in a row, of events that do not come in bursts, need no statistics.
constexpr double kStraight = 8;

std::string ratio(std::uint64_t bad, std::uint64_t of) {
  const double rate = of == 0 ? 0 : 100.0 * static_cast<double>(bad) / static_cast<double>(of);
  return fmt::format("{} of {} ({:.2f} %)", bad, of, rate);
}

class Sequential final : public Analysis {
 public:
  explicit Sequential(const AnalysisOptions& options)
      : options_(options),
        errors_("errors", options.max_error_ratio, options.max_error_ratio * kSafeMargin,
                options.alpha * kErrors),
        sound_("guard", 1, kSafeMargin, options.alpha * kSound),
        accuracy_("wrong", options.max_error_ratio, options.max_error_ratio * kSafeMargin,
                  options.alpha * kAccuracy),
        latency_(options.max_p95_ratio, options.latency_slack, options.alpha * kLatency) {}

  void observe(const Observation& seen) override {
    errors_.observe(seen.canary, seen.share, seen.failed, seen.unit, seen.at);
    if (!seen.failed) {
      sound_.observe(seen.canary, seen.share, seen.unsound, seen.unit, seen.at);
    }
    auto& straight = straight_[seen.canary ? 1 : 0];
    straight = seen.failed || seen.unsound ? straight + 1 : 0;
    dead_ = dead_ || dead();
    const bool looked_at = warm(seen);
    if (seen.failed || seen.millis < 0) return;
    if (looked_at) {
      latency_.observe(seen.canary, seen.share, seen.millis);
    } else if (!seen.canary) {
      latency_.prepare(seen.millis);
    }
  }

  void answered(bool canary, std::uint64_t count) override {
    if (count == 0) return;
    errors_.answered(canary, count);
    sound_.answered(canary, count);
    straight_[canary ? 1 : 0] = 0;
    if (warm_ || !canary) return;
    canary_seen_ = std::min(canary_seen_ + count, options_.warm_up_requests + 1);
    warm_ = canary_seen_ > options_.warm_up_requests;
  }

  void label(bool canary, double share, bool wrong) override {
    accuracy_.observe(canary, share, wrong, 0, {});
  }

  bool harmful() const override {
    return dead_ || errors_.harmful() || latency_.harmful() || sound_.harmful() ||
           accuracy_.harmful();
  }

  Verdict verdict() const override {
    if (harmful()) return {Verdict::Kind::kHarmful, harm()};
    if (auto open = missing(); !open.empty()) return {Verdict::Kind::kOpen, std::move(open)};
    return {Verdict::Kind::kSafe, safe()};
  }

  json evidence() const override {
    json out = json::array({errors_.evidence(), latency_.evidence(), sound_.evidence()});
    if (accuracy_.arm(true).requests > 0) out.push_back(accuracy_.evidence());
    return out;
  }

  json state() const override {
    return {{"errors", errors_.state()},
            {"sound", sound_.state()},
            {"accuracy", accuracy_.state()},
            {"latency", latency_.state()},
            {"straight", straight_},
            {"dead", dead_},
            {"warm", warm_},
            {"canary_seen", canary_seen_}};
  }

  void restore(const json& state) override {
    errors_.restore(part_of(state, "errors"));
    sound_.restore(part_of(state, "sound"));
    accuracy_.restore(part_of(state, "accuracy"));
    latency_.restore(part_of(state, "latency"));
    warm_ = flag_in(state, "warm");
    dead_ = flag_in(state, "dead");
    canary_seen_ = count_in(state, "canary_seen");
    const auto& straight = part_of(state, "straight");
    if (straight.is_array() && straight.size() == 2 && straight[0].is_number_unsigned() &&
        straight[1].is_number_unsigned()) {
      straight_ = {straight[0].get<std::uint64_t>(), straight[1].get<std::uint64_t>()};
    }
  }

  void learn(const statistics::Burstiness& bursts, std::uint64_t requests) override {
    errors_.learn(bursts, requests);
  }

 private:
  // Neither arm's speed is compared while the canary warms up: both are to be seen in the same
  // state. Only what slow is for stable is learned meanwhile.
  bool warm(const Observation& seen) {
    if (warm_) return true;
    if (seen.canary) {
      ++canary_seen_;
      if (first_ == TimePoint{}) first_ = seen.at;  // also the first after a restart
    }
    const bool long_enough = first_ != TimePoint{} && seen.at - first_ >= options_.warm_up_time;
    warm_ = canary_seen_ > options_.warm_up_requests || long_enough;
    return warm_;
  }

  // Every one of the canary's last requests failed, while stable answers.
  bool dead() const {
    const auto limit = static_cast<std::uint64_t>(std::ceil(kStraight * errors_.temper()));
    return straight_[1] >= limit && straight_[0] < limit;
  }

  std::string rates(const RateComparison& of) const {
    const auto& canary = of.arm(true);
    const auto& stable = of.arm(false);
    return fmt::format("{} of the canary's against {} of stable's",
                       ratio(canary.bad, canary.requests), ratio(stable.bad, stable.requests));
  }

  std::string beyond(const json& evidence) const {
    return fmt::format("evidence {:.3g}, where {:.3g} is enough",
                       1 / evidence["p_value"].get<double>(), evidence["limit"].get<double>());
  }

  std::string harm() const {
    if (dead_) {
      return fmt::format("{} requests of the canary's in a row failed, while stable answers",
                         straight_[1]);
    }
    if (errors_.harmful()) {
      return "more requests fail: " + rates(errors_) + "; " + beyond(errors_.evidence());
    }
    if (latency_.harmful()) {
      return fmt::format("it is slower than {:g} times stable: p95 {:.3g} ms against {:.3g} ms; {}",
                         options_.max_p95_ratio, latency_.p95(true), latency_.p95(false),
                         beyond(latency_.evidence()));
    }
    if (sound_.harmful()) {
      return "more answers break a guard (not finite, or outside guard.outputs): " + rates(sound_) +
             "; " + beyond(sound_.evidence());
    }
    if (accuracy_.harmful()) {
      return "more predictions are wrong: " + rates(accuracy_) + "; " +
             beyond(accuracy_.evidence());
    }
    return {};
  }

  // What is not known yet before it may be promoted, or nothing.
  std::string missing() const {
    const auto& canary = errors_.arm(true);
    if (canary.requests < options_.min_requests) {
      return fmt::format("the canary has had {} of the {} requests that it needs", canary.requests,
                         options_.min_requests);
    }
    if (!errors_.safe(options_.promote_alpha, options_.min_requests)) {
      return fmt::format("it is not certain yet that not {:g} times as many requests fail: {}",
                         options_.max_error_ratio * kSafeMargin, rates(errors_));
    }
    if (sound_.arm(true).bad > 0 && !sound_.safe(options_.promote_alpha, options_.min_requests)) {
      return "it is not certain yet that not more answers break a guard: " + rates(sound_);
    }
    if (!latency_.safe(options_.promote_alpha)) {
      return fmt::format(
          "it is not certain yet that it is not {:.3g} times as slow: p95 {:.3g} ms "
          "against {:.3g} ms",
          options_.max_p95_ratio * 4 / 3, latency_.p95(true), latency_.p95(false));
    }
    return {};
  }

  std::string safe() const {
    const auto& canary = errors_.arm(true);
    std::string out = fmt::format("{} fail; p95 {:.3g} ms against {:.3g} ms", rates(errors_),
                                  latency_.p95(true), latency_.p95(false));
    if (canary.bad == 0) {
      out += fmt::format("; its error rate is below {:.2g} % (95 %)",
                         -100 * std::log(0.05) / static_cast<double>(canary.requests));
    }
    return out;
  }

  const AnalysisOptions options_;
  RateComparison errors_;
  RateComparison sound_;
  RateComparison accuracy_;
  LatencyComparison latency_;
  std::array<std::uint64_t, 2> straight_{};  // failures in a row: stable, canary
  bool dead_ = false;
  bool warm_ = false;
  std::uint64_t canary_seen_ = 0;
  TimePoint first_{};
};

}  // namespace

std::unique_ptr<Analysis> make_sequential(const AnalysisOptions& options) {
  return std::make_unique<Sequential>(options);
}

}  // namespace sluice::release
