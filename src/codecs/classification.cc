#include "codecs/classification.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace sluice::codecs {
namespace {

// NaN is the smallest, so that the order is total.
double rank_of(double value) { return std::isnan(value) ? -INFINITY : value; }

std::string_view show(double value, std::size_t index, std::span<const std::string> labels,
                      Arena& arena) {
  if (std::isnan(value)) value = std::abs(value);  // its sign means nothing
  const auto text = index < labels.size() ? fmt::format("{:f}:{}:{}", value, index, labels[index])
                                          : fmt::format("{:f}:{}", value, index);
  return arena.copy(text);
}

}  // namespace

Result<TensorView> classify(const TensorView& tensor, bool by_row, std::size_t k,
                            std::span<const std::string> labels, Arena& arena) {
  if (tensor.dtype == DType::kString) {
    return invalid("wrong_type", "classification needs an output of numbers, not of BYTES");
  }
  const std::size_t rows = by_row ? static_cast<std::size_t>(tensor.shape[0]) : 1;
  const std::size_t width = rows == 0 ? 0 : tensor.elements() / rows;
  k = std::min(k, width);
  if (labels.size() != width) labels = {};
  auto out = arena.array<std::string_view>(rows * k);
  std::vector<std::size_t> order(width);
  for (std::size_t row = 0; row < rows; ++row) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto value = [&](std::size_t i) { return number_at(tensor, row * width + i); };
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>(k);
    // Equal values keep the model's order.
    std::partial_sort(order.begin(), middle, order.end(), [&](std::size_t a, std::size_t b) {
      const double left = rank_of(value(a));
      const double right = rank_of(value(b));
      return left != right ? left > right : a < b;
    });
    for (std::size_t i = 0; i < k; ++i) {
      out[row * k + i] = show(value(order[i]), order[i], labels, arena);
    }
  }
  TensorView classes;
  classes.dtype = DType::kString;
  if (by_row) classes.shape.push(static_cast<std::int64_t>(rows));
  classes.shape.push(static_cast<std::int64_t>(k));
  classes.strings = out;
  return classes;
}

}  // namespace sluice::codecs
