// InferTensorContents, the typed form of a tensor inside a gRPC message. Internal to codecs.
//
// Thread-safety: a function without state.
#pragma once

#include <string_view>

#include "base/arena.h"
#include "base/error.h"
#include "core/tensor.h"

namespace sluice::codecs {

// `contents` is the message's wire form. Packed floats that lie aligned are viewed, all else is
// converted into `arena`. Errors: kInvalidArgument with `wrong_type`, `wrong_size`, `out_of_range`.
Result<TensorView> read_typed_contents(std::string_view contents, DType dtype, const Shape& shape,
                                       std::string_view name, Arena& arena);

}  // namespace sluice::codecs
