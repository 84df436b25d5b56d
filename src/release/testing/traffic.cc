#include "release/testing/traffic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>

namespace sluice::release::testing {
namespace {

// How many successes `count` trials have.
std::uint64_t binomial(std::uint64_t count, double chance, Random& random) {
  constexpr double kFew = 16;
  if (chance > 0.5) return count - binomial(count, 1 - chance, random);
  if (static_cast<double>(count) * chance > kFew) {
    return std::binomial_distribution<std::uint64_t>(count, chance)(random);
  }
  // Inversion: from the probability of none upwards.
  const double odds = chance / (1 - chance);
  double here = std::exp(static_cast<double>(count) * std::log1p(-chance));
  double rest = random.uniform();
  std::uint64_t out = 0;
  while (rest >= here && out < count) {
    rest -= here;
    here *= odds * static_cast<double>(count - out) / static_cast<double>(out + 1);
    ++out;
  }
  return out;
}

// The number of failures before the first success; at most `most`.
std::uint64_t geometric(double chance, std::uint64_t most, Random& random) {
  if (chance >= 1) return 0;
  if (!(chance > 0)) return most;
  const double out = std::log(1 - random.uniform()) / std::log1p(-chance);
  return out < static_cast<double>(most) ? static_cast<std::uint64_t>(out) : most;
}

class Run {
 public:
  Run(const Traffic& traffic, Analysis& judge, Random& random)
      : traffic_(traffic), judge_(judge), random_(random) {
    if (traffic_.ramp.empty()) {
      enter(traffic_.share, ~std::uint64_t{0});
    } else {
      next_step();
    }
    greatest_ = start_rate(std::max(traffic_.stable_errors, traffic_.canary_errors)) *
                std::sqrt(traffic_.swing);
    greatest_ = std::min(1.0, greatest_);
    learn();
  }

  Ending in_pieces() {
    while (canary_ < traffic_.limit) {
      if (now_ >= step_end_) next_step();
      if (left_[0] == 0 && left_[1] == 0) {
        leap();
      } else {
        single();
      }
      if (judge_.harmful()) return {Ending::Kind::kHarmful, canary_};
    }
    return {Ending::Kind::kOpen, canary_};
  }

  Ending one_by_one(bool verdicts) {
    std::normal_distribution<double> normal;
    const Durations& durations = *traffic_.durations;
    while (canary_ < traffic_.limit) {
      if (now_ >= step_end_) next_step();
      const bool canary = draw_arm();
      const bool failed = random_.uniform() < rate_of(canary);
      count(canary);
      const double times = canary ? durations.times : 1;
      const double millis = durations.median * times * std::exp(durations.sigma * normal(random_));
      judge_.observe({.canary = canary, .share = share_, .failed = failed, .millis = millis});
      if (judge_.harmful()) return {Ending::Kind::kHarmful, canary_};
      if (verdicts && canary && judge_.verdict().kind == Verdict::Kind::kSafe) {
        return {Ending::Kind::kSafe, canary_};
      }
    }
    return {Ending::Kind::kOpen, canary_};
  }

 private:
  // That a burst begins, so that the mean rate of errors is `rate`.
  double start_rate(double rate) const {
    const auto burst = static_cast<double>(traffic_.burst);
    return rate / (burst - (burst - 1) * rate);
  }
  // What the time of the day makes of it.
  double season(double at) const {
    if (traffic_.swing == 1) return 1;
    const double part = std::sin(2 * std::numbers::pi * at / traffic_.day);
    return std::pow(traffic_.swing, part / 2);
  }
  double rate_of(bool canary) const {
    const bool worse = canary && canary_ >= traffic_.healthy;
    return worse ? traffic_.canary_errors : traffic_.stable_errors;
  }

  void enter(double share, std::uint64_t requests) {
    share_ = share;
    step_end_ = requests > ~std::uint64_t{0} - now_ ? ~std::uint64_t{0} : now_ + requests;
  }
  void next_step() {
    const double share = traffic_.ramp[std::min(step_, traffic_.ramp.size() - 1)];
    ++step_;
    const double part =
        static_cast<double>(traffic_.limit) / static_cast<double>(traffic_.ramp.size());
    enter(share, static_cast<std::uint64_t>(part / share) + 1);
  }

  // What the product knows of stable from the time before.
  void learn() {
    statistics::Burstiness bursts;
    const double rate = start_rate(traffic_.stable_errors);
    const double most = std::min(1.0, rate * std::sqrt(traffic_.swing));
    for (std::uint64_t at = 0; at < traffic_.history; ++at) {
      at += geometric(most, traffic_.history, random_);
      const double season_now =
          season(static_cast<double>(at) - static_cast<double>(traffic_.history));
      if (traffic_.swing != 1 && random_.uniform() * most >= rate * season_now) continue;
      const auto end = std::min(at + traffic_.burst, traffic_.history);
      for (std::uint64_t bad = at; bad < end; ++bad) bursts.bad(bad);
      at += traffic_.burst - 1;
    }
    if (traffic_.history > 0) judge_.learn(bursts, traffic_.history);
  }

  bool draw_arm() { return random_.uniform() < share_; }
  void count(bool canary) {
    ++now_;
    if (canary) ++canary_;
  }

  void bad(bool canary) {
    count(canary);
    judge_.observe({.canary = canary, .share = share_, .failed = true});
  }
  void good(bool canary) {
    count(canary);
    judge_.answered(canary, 1);
  }

  // The good ones until perhaps a burst begins, in one piece.
  void leap() {
    const std::uint64_t room = step_end_ - now_;
    const std::uint64_t gap = geometric(greatest_, room, random_);
    const std::uint64_t canarys = binomial(gap, share_, random_);
    now_ += gap;
    canary_ += canarys;
    judge_.answered(true, canarys);
    judge_.answered(false, gap - canarys);
    if (gap < room && !judge_.harmful()) perhaps(draw_arm(), greatest_);
  }

  // A burst begins where one may begin with probability `of`.
  void perhaps(bool canary, double of) {
    const double rate = start_rate(rate_of(canary)) * season(static_cast<double>(now_));
    if (random_.uniform() * of >= rate) return good(canary);
    left_[canary ? 1 : 0] = traffic_.burst - 1;
    bad(canary);
  }

  void single() {
    const bool canary = draw_arm();
    auto& left = left_[canary ? 1 : 0];
    if (left == 0) return perhaps(canary, 1);
    --left;
    bad(canary);
  }

  const Traffic& traffic_;
  Analysis& judge_;
  Random& random_;
  double greatest_ = 0;  // chance that a burst begins, at any time, of any arm
  double share_ = 0;
  std::size_t step_ = 0;
  std::uint64_t step_end_ = 0;
  std::uint64_t now_ = 0;                // requests of both
  std::uint64_t canary_ = 0;             // of the canary
  std::array<std::uint64_t, 2> left_{};  // of a burst that has begun: stable, canary
};

}  // namespace

Ending until_harmful(const Traffic& traffic, Analysis& judge, Random& random) {
  Run run(traffic, judge, random);
  return traffic.durations ? run.one_by_one(false) : run.in_pieces();
}

Ending until_decided(const Traffic& traffic, Analysis& judge, Random& random) {
  return Run(traffic, judge, random).one_by_one(true);
}

}  // namespace sluice::release::testing
