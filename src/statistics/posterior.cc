#include "statistics/posterior.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace sluice::statistics {
namespace {

// The posterior of a Gaussian's mean: location + scale * t with `freedom` degrees.
struct StudentT {
  double location;
  double scale;
  double freedom;
};

StudentT mean_posterior(const RewardSums& sums) {
  constexpr double kWeight = 1;  // of the prior mean 0, in rewards
  constexpr double kShape = 1;
  constexpr double kRate = 0.5;
  const double n = sums.count;
  const double mean = sums.mean();
  const double spread = std::max(0.0, sums.squares - n * mean * mean);
  const double weight = kWeight + n;
  const double shape = kShape + n / 2;
  const double rate = kRate + spread / 2 + kWeight * n * mean * mean / (2 * weight);
  return {n * mean / weight, std::sqrt(rate / (shape * weight)), 2 * shape};
}

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto away = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away(1 - (a + b) * x / (a + 1));
  double out = d;
  for (int m = 1; m < 10'000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    out *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    out *= d * c;
    if (std::abs(d * c - 1) < 1e-14) break;
  }
  return out;
}

// The x with `below(x) == part`, between `low` and `high`, for a rising function.
template <class Below>
double inverse(double low, double high, double part, Below below) {
  for (int i = 0; i < 100 && high - low > 1e-13 * std::max(1.0, std::abs(high)); ++i) {
    const double middle = (low + high) / 2;
    (below(middle) < part ? low : high) = middle;
  }
  return (low + high) / 2;
}

double t_below(double freedom, double t) {
  const double tail = beta_below(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2;
  return t > 0 ? 1 - tail : tail;
}

}  // namespace

double beta_below(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double draw_bernoulli_mean(const RewardSums& sums, Random& random) {
  // A distribution without a positive shape ends the process; what was stored may be anything.
  std::gamma_distribution<double> successes(1 + std::max(0.0, sums.sum));
  std::gamma_distribution<double> failures(1 + std::max(0.0, sums.count - sums.sum));
  const double a = successes(random);
  const double b = failures(random);
  return a / (a + b);
}

double draw_gaussian_mean(const RewardSums& sums, Random& random) {
  const auto posterior = mean_posterior(sums);
  std::student_t_distribution<double> t(posterior.freedom);
  return posterior.location + posterior.scale * t(random);
}

Interval bernoulli_interval(const RewardSums& sums, double mass) {
  const double a = 1 + std::max(0.0, sums.sum);
  const double b = 1 + std::max(0.0, sums.count - sums.sum);
  const auto below = [&](double x) { return beta_below(a, b, x); };
  return {inverse(0, 1, (1 - mass) / 2, below), inverse(0, 1, (1 + mass) / 2, below)};
}

Interval gaussian_interval(const RewardSums& sums, double mass) {
  const auto posterior = mean_posterior(sums);
  const auto below = [&](double t) { return t_below(posterior.freedom, t); };
  const double t = inverse(0, 1e6, (1 + mass) / 2, below) * posterior.scale;
  return {posterior.location - t, posterior.location + t};
}

}  // namespace sluice::statistics
