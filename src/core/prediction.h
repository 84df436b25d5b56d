// Outputs as the simple protocols speak of them: a value and a confidence per row, and a label
// where classes have names. Made from an engine's tensors by serving/output_plan.
//
// Thread-safety: plain values; memory belongs to the request's arena.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "core/tensor.h"

namespace sluice {

struct Prediction {
  std::size_t rows = 0;
  // Shape of one row's value: empty for a number, [k] for a vector, and so on.
  Shape row_shape;
  std::span<const double> values;  // rows × product(row_shape); a class is its place in the list
  // The values again, where a double does not hold them exactly (64-bit integers); else null.
  const TensorView* integers = nullptr;
  bool single_precision = false;             // values came from 32-bit floats: write them as such
  std::span<const double> confidences;       // one a row
  std::span<const std::string_view> labels;  // one a row, or none
  std::span<const double> probabilities;     // rows × classes, or none
  bool classified = false;                   // values are classes, not quantities
  bool not_finite = false;                   // some value or confidence is NaN or infinite

  std::size_t width() const { return rows == 0 ? 0 : values.size() / rows; }
};

}  // namespace sluice
