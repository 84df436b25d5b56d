// The classification extension: the k largest of each row's values, as "value:index" or
// "value:index:label".
//
// Thread-safety: a function without state.
#pragma once

#include <span>
#include <string>

#include "base/arena.h"
#include "base/error.h"
#include "core/tensor.h"

namespace sluice::codecs {

// A BYTES tensor of shape [rows, k], or [k] where `by_row` says that the tensor has no rows. Values
// are those behind the first dimension, laid flat; fewer than `k` of them give as many as there
// are. `labels` are shown where there is one for each value of a row. Errors: kInvalidArgument for
// a tensor of strings.
Result<TensorView> classify(const TensorView& tensor, bool by_row, std::size_t k,
                            std::span<const std::string> labels, Arena& arena);

}  // namespace sluice::codecs
