#include "statistics/e_process.h"

#include <algorithm>
#include <cmath>

namespace sluice::statistics {
namespace {

constexpr std::array<double, 8> kWorse = {1.25, 1.5, 2, 3, 5, 10, 30, 100};
constexpr std::array<double, 7> kBetter = {1 / 1.25, 1 / 1.5,  1 / 2.0, 1 / 3.0,
                                           1 / 5.0,  1 / 10.0, 1 / 30.0};

}  // namespace

std::span<const double> EProcess::worse() { return kWorse; }
std::span<const double> EProcess::better() { return kBetter; }

EProcess::EProcess(double tolerance, std::span<const double> multiples)
    : tolerance_(tolerance),
      count_(std::min(multiples.size(), kMost)),
      log_count_(std::log(static_cast<double>(count_))) {
  std::ranges::copy(multiples.first(count_), multiples_.begin());
}

void EProcess::prepare(double share) {
  share_ = share;
  const double odds = tolerance_ * share / (1 - share);
  const double expected = odds / (1 + odds);
  for (std::size_t i = 0; i < count_; ++i) {
    const double claimed = multiples_[i] * odds / (1 + multiples_[i] * odds);
    treated_[i] = std::log(claimed / expected);
    other_[i] = std::log((1 - claimed) / (1 - expected));
  }
}

void EProcess::add(bool treated, double share, double temper) {
  if (!(share > 0) || !(share < 1)) return;  // with one arm alone there is nothing to compare
  if (share != share_) prepare(share);
  const auto& steps = treated ? treated_ : other_;
  const double weight = 1 / std::max(1.0, temper);
  double most = -HUGE_VAL;
  for (std::size_t i = 0; i < count_; ++i) {
    sums_[i] += steps[i] * weight;
    most = std::max(most, sums_[i]);
  }
  // A mean is at most the greatest: mostly there is no need to form it.
  if (most > best_) best_ = std::max(best_, log_e());
}

double EProcess::log_e() const {
  const auto sums = std::span(sums_).first(count_);
  const double most = std::ranges::max(sums);
  double total = 0;
  for (const double sum : sums) total += std::exp(sum - most);
  return most + std::log(total) - log_count_;
}

EProcess::State EProcess::state() const {
  State out{};
  std::ranges::copy(sums_, out.begin());
  out[kMost] = best_;
  return out;
}

void EProcess::restore(const State& state) {
  std::copy_n(state.begin(), kMost, sums_.begin());
  best_ = state[kMost];
}

}  // namespace sluice::statistics
