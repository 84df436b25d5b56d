// Which arm to pull next, from what the arms have brought so far.
//
// A pure choice: the caller keeps the rewards and the clock. To add one, write its file and add its
// line to builtin.cc; the conformance test then runs on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "statistics/posterior.h"

namespace sluice::routing {

struct BanditArm {
  statistics::RewardSums rewards;  // observed, possibly discounted
  double pending = 0;              // pulled, and no reward yet
};

struct BanditOptions {
  double epsilon = 0.1;
  double decay = 0;       // of epsilon: epsilon / (1 + decay * rewards)
  bool gaussian = false;  // rewards are any numbers, not 0 to 1
};

// Thread-safety: immutable; a Random has one owner.
class BanditAlgorithm {
 public:
  virtual ~BanditAlgorithm() = default;

  // One choice. `arms` is not empty.
  virtual std::size_t pick(std::span<const BanditArm> arms, const BanditOptions& options,
                           Random& random) const = 0;

  // With which probability each arm is picked while nothing new is learned, or, where picking
  // changes the next pick, in which proportion over the next `picks` (at least 1). Sums to 1.
  // Unless it is known in closed form: the mean of a thousand picks. A choice by such shares has
  // the distribution of a pick, exactly, since each of the thousand has.
  virtual std::vector<double> shares(std::span<const BanditArm> arms, const BanditOptions& options,
                                     std::size_t picks, Random& random) const;

  // Rewards must be between 0 and 1.
  virtual bool unit_rewards(const BanditOptions& options) const = 0;
};

}  // namespace sluice::routing
