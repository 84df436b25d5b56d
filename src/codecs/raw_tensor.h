// Tensors as raw bytes, as the Open Inference Protocol has them: row-major, little-endian, without
// padding; a BOOL is a byte of 0 or 1, each element of BYTES has its length before it as four
// bytes.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>

#include "base/arena.h"
#include "base/error.h"
#include "core/tensor.h"

namespace sluice::codecs {

// `bytes` as a tensor. It views `bytes` where they lie aligned for the type, else a copy in
// `arena`. `name` is for messages. Errors: kInvalidArgument with `wrong_size`, `shape_overflow` …
Result<TensorView> read_raw(DType dtype, const Shape& shape, std::string_view bytes,
                            std::string_view name, Arena& arena);

std::size_t raw_size(const TensorView& tensor);
void append_raw(const TensorView& tensor, std::string& out);

}  // namespace sluice::codecs
