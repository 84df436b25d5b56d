// What would the mean reward be if one arm took everything? Estimated from choices whose
// probabilities are known: the self-normalised inverse propensity score (Swaminathan and Joachims,
// NIPS 2015) with the interval of the delta method.
//
// Thread-safety: one owner.
#pragma once

#include <cmath>

#include "statistics/posterior.h"

namespace sluice::statistics {

// Of one arm. Rewards of choices of other arms have weight 0 and need not be added.
struct OffPolicySums {
  double weights = 0;          // w = 1 / probability
  double weighted = 0;         // w r
  double squares = 0;          // w²
  double squares_reward = 0;   // w² r
  double squares_rewards = 0;  // w² r²

  void add(double probability, double reward) {
    if (!(probability > 0)) return;
    const double w = 1 / probability;
    weights += w;
    weighted += w * reward;
    squares += w * w;
    squares_reward += w * w * reward;
    squares_rewards += w * w * reward * reward;
  }
  double estimate() const { return weights > 0 ? weighted / weights : 0; }
  // 95 %.
  Interval interval() const {
    const double mean = estimate();
    const double spread = squares_rewards - 2 * mean * squares_reward + mean * mean * squares;
    const double half = weights > 0 ? 1.96 * std::sqrt(std::max(0.0, spread)) / weights : 0;
    return {mean - half, mean + half};
  }
};

}  // namespace sluice::statistics
