// How far apart two samples' distributions are: the greatest difference of their empirical
// distribution functions, and how often it would be as great if they were the same.
//
// Thread-safety: functions without state.
#pragma once

#include <vector>

namespace sluice::statistics {

struct KolmogorovSmirnov {
  double distance = 0;  // 0 to 1
  double p_value = 1;   // asymptotic (Kolmogorov's distribution, with Stephens' correction)
};

// How often the greatest difference, times the square root of the sample's size, is above x where
// the distributions are the same: Kolmogorov's distribution, the limit for large samples.
double kolmogorov_beyond(double x);

// Takes copies: they are sorted. Empty samples have distance 0.
KolmogorovSmirnov kolmogorov_smirnov(std::vector<double> one, std::vector<double> other);

}  // namespace sluice::statistics
