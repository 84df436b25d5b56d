// What a model saw of features that were fetched: by name, with their times. One form for the
// answer and the prediction log.
//
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <span>

#include "base/json_writer.h"
#include "core/signature.h"
#include "core/tensor.h"

namespace sluice {

// One element of a tensor; what is not finite is null.
void write_element(const TensorView& tensor, std::size_t at, JsonWriter& json);

// As a value: an object name → value, or a list of such objects where `many`. `inputs` are in the
// order of the signature.
void write_features_used(std::span<const TensorView> inputs, const Signature& signature,
                         std::size_t rows, bool many, JsonWriter& json);
// The same name → RFC 3339, of those whose time is known. `times` as in Request::feature_times.
void write_feature_times(const Signature& signature, std::size_t rows, bool many,
                         std::span<const std::int64_t> times, JsonWriter& json);

}  // namespace sluice
