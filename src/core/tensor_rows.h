// Some rows of a tensor that has a row in each place of its first dimension.
//
// Thread-safety: a function without state.
#pragma once

#include <cstddef>

#include "core/tensor.h"

namespace sluice {

// `count` rows from `first` on, of `rows` that `whole` has. A view of the same memory.
inline TensorView rows_of(const TensorView& whole, std::size_t first, std::size_t count,
                          std::size_t rows) {
  TensorView out = whole;
  out.shape[0] = static_cast<std::int64_t>(count);
  const std::size_t strings = whole.strings.size() / rows;
  const std::size_t bytes = whole.data.size() / rows;
  out.strings = whole.strings.subspan(first * strings, count * strings);
  out.data = whole.data.subspan(first * bytes, count * bytes);
  return out;
}

}  // namespace sluice
