// What rewards teach of an arm's mean: draws from the posterior and credible intervals.
//
//   Bernoulli   prior Beta(1, 1); a reward between 0 and 1 counts as that much of a success
//   Gaussian    prior Normal-Inverse-Gamma with the weight of one reward at 0 and spread 1; the
//               mean's posterior is a Student t (Murphy, "Conjugate Bayesian analysis of the
//               Gaussian distribution", 2007, section 3)
//
// Thread-safety: functions without state; a Random has one owner.
#pragma once

#include "base/random.h"

namespace sluice::statistics {

// Sums of an arm's rewards, which may be discounted.
struct RewardSums {
  double count = 0;
  double sum = 0;
  double squares = 0;

  double mean() const { return count > 0 ? sum / count : 0; }
  void add(double reward) {
    count += 1;
    sum += reward;
    squares += reward * reward;
  }
  void fade(double factor) {
    count *= factor;
    sum *= factor;
    squares *= factor;
  }
};

double draw_bernoulli_mean(const RewardSums& sums, Random& random);
double draw_gaussian_mean(const RewardSums& sums, Random& random);

struct Interval {
  double low = 0;
  double high = 0;
};
// The middle `mass` (0.95) of the posterior.
Interval bernoulli_interval(const RewardSums& sums, double mass);
Interval gaussian_interval(const RewardSums& sums, double mass);

// The part of a Beta(a, b) below x: the regularised incomplete beta function.
double beta_below(double a, double b, double x);

}  // namespace sluice::statistics
