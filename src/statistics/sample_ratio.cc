#include "statistics/sample_ratio.h"

#include <cmath>

namespace sluice::statistics {
namespace {

constexpr double kPrior = 10'000;
const double kAlarm = std::log(1000.0);

}  // namespace

// Not normed: how the arm did so far, times its share.
double SampleRatio::predicted(std::size_t arm, std::span<const double> shares) const {
  const double prior = kPrior * shares[arm];
  return shares[arm] * (prior + seen_[arm]) / (prior + expected_[arm]);
}

void SampleRatio::add(std::size_t arm, std::span<const double> shares) {
  if (arm >= seen_.size() || shares.size() != seen_.size() || !(shares[arm] > 0)) return;
  double all = 0;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (shares[i] > 0) all += predicted(i, shares);
  }
  log_e_ += std::log(predicted(arm, shares) / all / shares[arm]);
  alarm_ = alarm_ || log_e_ > kAlarm;
  seen_[arm] += 1;
  for (std::size_t i = 0; i < seen_.size(); ++i) expected_[i] += shares[i];
}

void SampleRatio::restore(State state) {
  if (state.seen.size() != seen_.size() || state.expected.size() != seen_.size()) return;
  seen_ = std::move(state.seen);
  expected_ = std::move(state.expected);
  log_e_ = state.log_e;
  alarm_ = state.alarm;
}

}  // namespace sluice::statistics
