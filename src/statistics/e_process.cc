#include "statistics/e_process.h"

#include <algorithm>
#include <cmath>

namespace sluice::statistics {
namespace {

constexpr std::array<double, 8> kWorse = {1.25, 1.5, 2, 3, 5, 10, 30, 100};
constexpr std::array<double, 7> kBetter = {1 / 1.25, 1 / 1.5,  1 / 2.0, 1 / 3.0,
                                           1 / 5.0,  1 / 10.0, 1 / 30.0};
constexpr double kGreatest = 1e300;

}  // namespace

std::span<const double> EProcess::worse() { return kWorse; }
std::span<const double> EProcess::better() { return kBetter; }

EProcess::EProcess(double tolerance, std::span<const double> multiples)
    : tolerance_(tolerance), count_(std::min(multiples.size(), kMost)) {
  std::ranges::copy(multiples.first(count_), multiples_.begin());
}

void EProcess::prepare(double share, double temper) {
  share_ = share;
  temper_ = temper;
  const double weight = 1 / std::max(1.0, temper);
  const double odds = tolerance_ * share / (1 - share);
  const double expected = odds / (1 + odds);
  for (std::size_t i = 0; i < count_; ++i) {
    const double claimed = multiples_[i] * odds / (1 + multiples_[i] * odds);
    treated_[i] = std::pow(claimed / expected, weight);
    other_[i] = std::pow((1 - claimed) / (1 - expected), weight);
  }
}

void EProcess::add(bool treated, double share, double temper) {
  if (!(share > 0) || !(share < 1)) return;  // with one arm alone there is nothing to compare
  if (share != share_ || temper != temper_) prepare(share, temper);
  const auto& steps = treated ? treated_ : other_;
  // What begins now: of a reserve of 1/(k + 1) there remains 1/(k + 2).
  const double begins = reserve_ * reserve_ / (1 + reserve_);
  reserve_ -= begins;
  const double part = begins / static_cast<double>(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    worth_[i] = std::min(kGreatest, (worth_[i] + part) * steps[i]);
  }
  best_ = std::max(best_, e());
}

double EProcess::e() const {
  double out = reserve_;
  for (std::size_t i = 0; i < count_; ++i) out += worth_[i];
  return out;
}

EProcess::State EProcess::state() const {
  State out{};
  std::ranges::copy(worth_, out.begin());
  out[kMost] = reserve_;
  out[kMost + 1] = best_;
  return out;
}

void EProcess::restore(const State& state) {
  std::copy_n(state.begin(), kMost, worth_.begin());
  reserve_ = state[kMost];
  best_ = state[kMost + 1];
}

}  // namespace sluice::statistics
