#include "frontends/metric_ladder.h"

namespace sluice::frontends {
namespace {

// Renard's series R10 and R5 (ISO 3).
std::vector<double> ladder(const std::vector<double>& steps) {
  std::vector<double> out;
  for (const double decade : {1e5, 1e4, 1e3, 1e2, 1e1, 1.0}) {
    for (const double step : steps) {
      const double seconds = step / decade;  // dividing: 0.0002, and not 0.00019999999999999998
      if (seconds >= 5e-5 && seconds <= 10) out.push_back(seconds);
    }
  }
  out.push_back(10);
  return out;
}

}  // namespace

const std::vector<double>& fine_ladder() {
  static const auto kLadder = ladder({1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8});
  return kLadder;
}

const std::vector<double>& coarse_ladder() {
  static const auto kLadder = ladder({1, 1.6, 2.5, 4, 6.3});
  return kLadder;
}

}  // namespace sluice::frontends
