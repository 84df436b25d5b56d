// What a column of numbers is like, in one pass and constant memory: how many values, how many
// missing (NaN) and infinite ones, and of the finite ones the least, the greatest, mean and
// standard deviation (Welford, Technometrics 4, 1962).
//
// Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace sluice::statistics {

class ColumnSummary {
 public:
  void add(double value) {
    ++rows_;
    if (std::isnan(value)) {
      ++missing_;
      return;
    }
    if (std::isinf(value)) {
      ++infinite_;
      return;
    }
    least_ = std::min(least_, value);
    greatest_ = std::max(greatest_, value);
    const double delta = value - mean_;
    mean_ += delta / static_cast<double>(finite());
    squares_ += delta * (value - mean_);
  }

  std::uint64_t rows() const { return rows_; }
  std::uint64_t missing() const { return missing_; }
  std::uint64_t infinite() const { return infinite_; }
  std::uint64_t finite() const { return rows_ - missing_ - infinite_; }
  // Where there is a finite value.
  double least() const { return least_; }
  double greatest() const { return greatest_; }
  bool constant() const { return least_ == greatest_; }
  // These may overflow to what is not finite.
  double mean() const { return mean_; }
  // Of the population.
  double deviation() const {
    return finite() == 0 ? 0 : std::sqrt(std::max(0.0, squares_ / static_cast<double>(finite())));
  }

 private:
  std::uint64_t rows_ = 0;
  std::uint64_t missing_ = 0;
  std::uint64_t infinite_ = 0;
  double least_ = std::numeric_limits<double>::infinity();
  double greatest_ = -std::numeric_limits<double>::infinity();
  double mean_ = 0;
  double squares_ = 0;
};

// So many evenly spaced quantiles, each of them a value that is there (the nearest rank), of the
// finite ones among `values`; none where there are none. `count` is at least 2.
inline std::vector<double> evenly_spaced_quantiles(std::span<const double> values,
                                                   std::size_t count) {
  std::vector<double> sorted;
  for (const double value : values) {
    if (std::isfinite(value)) sorted.push_back(value);
  }
  std::vector<double> out;
  if (sorted.empty()) return out;
  std::ranges::sort(sorted);
  const std::size_t last = sorted.size() - 1;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(sorted[(i * last + (count - 1) / 2) / (count - 1)]);
  }
  return out;
}

}  // namespace sluice::statistics
