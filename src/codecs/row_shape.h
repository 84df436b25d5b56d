// Fits what a client nested to what a model takes. Internal to codecs.
#pragma once

#include <string_view>

#include "base/error.h"
#include "core/signature.h"

namespace sluice::codecs {

struct Rows {
  Shape shape;  // of the tensor
  std::size_t rows = 1;
  bool many = false;  // the client sent a list of rows
};

// Elements of one row, or 0 where a dimension is free.
std::size_t row_width(const TensorSpec& spec);

// `dims` is the client's nesting, `count` the number of elements in it.
Result<Rows> fit_rows(const TensorSpec& spec, const Shape& dims, std::size_t count,
                      std::string_view name);

}  // namespace sluice::codecs
