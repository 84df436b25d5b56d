#include "engines/largest_label.h"

#include <cmath>
#include <limits>
#include <optional>

namespace sluice::engines {
namespace {

std::optional<std::size_t> place_of_largest(std::span<const double> scores) {
  double largest = -std::numeric_limits<double>::infinity();
  std::size_t place = 0;
  bool alone = false;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) return {};
    if (scores[i] < largest) continue;
    alone = scores[i] > largest;
    largest = scores[i];
    place = i;
  }
  return alone && std::isfinite(largest) ? std::optional(place) : std::nullopt;
}

}  // namespace

bool largest_labels(std::span<const double> scores, std::span<const std::int64_t> labels,
                    std::span<std::int64_t> out) {
  const auto classes = labels.size();
  for (std::size_t row = 0; row < out.size(); ++row) {
    const auto place = place_of_largest(scores.subspan(row * classes, classes));
    if (!place) return false;
    out[row] = labels[*place];
  }
  return true;
}

}  // namespace sluice::engines
