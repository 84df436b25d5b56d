#include "statistics/kolmogorov_smirnov.h"

#include <algorithm>
#include <cmath>

namespace sluice::statistics {
// Q(x) = 2 sum (-1)^(k-1) exp(-2 k² x²)
double kolmogorov_beyond(double x) {
  if (x < 0.2) return 1;
  double out = 0;
  for (int k = 1; k <= 100; ++k) {
    const double term = std::exp(-2.0 * k * k * x * x);
    out += k % 2 == 1 ? term : -term;
    if (term < 1e-16) break;
  }
  return std::clamp(2 * out, 0.0, 1.0);
}

KolmogorovSmirnov kolmogorov_smirnov(std::vector<double> one, std::vector<double> other) {
  if (one.empty() || other.empty()) return {};
  std::ranges::sort(one);
  std::ranges::sort(other);
  const auto n = static_cast<double>(one.size());
  const auto m = static_cast<double>(other.size());
  std::size_t i = 0;
  std::size_t j = 0;
  double distance = 0;
  while (i < one.size() && j < other.size()) {
    const double at = std::min(one[i], other[j]);
    while (i < one.size() && one[i] <= at) ++i;
    while (j < other.size() && other[j] <= at) ++j;
    distance =
        std::max(distance, std::abs(static_cast<double>(i) / n - static_cast<double>(j) / m));
  }
  const double root = std::sqrt(n * m / (n + m));
  return {distance, kolmogorov_beyond((root + 0.12 + 0.11 / root) * distance)};
}

}  // namespace sluice::statistics
