// Tensors as JSON: their elements in one flat list, or nested as their shape is. What is not finite
// becomes null; 64-bit integers keep all their digits.
//
// Thread-safety: functions without state.
#pragma once

#include "base/json_writer.h"
#include "core/tensor.h"

namespace sluice::codecs {

enum class Strings : unsigned char {
  kText,    // "…"
  kBase64,  // {"b64":"…"}, TensorFlow Serving's form for bytes
};

// [1,2,3,4] for whatever shape.
void write_flat(const TensorView& tensor, JsonWriter& json);
// [[1,2],[3,4]]; a tensor without dimensions is one value.
void write_nested(const TensorView& tensor, Strings strings, JsonWriter& json);
// The part of a tensor that belongs to one place in its first dimension, nested.
void write_row(const TensorView& tensor, std::size_t row, Strings strings, JsonWriter& json);

}  // namespace sluice::codecs
