// Tensors as bytes, between two processes of this program: a head for each tensor, then the data of
// each, aligned to 64 as in an arena, so that engines do the same with it as with the original.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <span>

#include "base/arena.h"
#include "base/error.h"
#include "core/tensor.h"

namespace sluice::repository {

std::size_t wire_size(std::span<const TensorView> tensors);
// `to` is aligned to 64 and has `wire_size` bytes.
void write_tensors(std::span<const TensorView> tensors, std::span<std::byte> to);
// Views of `from`, which is aligned to 64 and may hold anything: whoever wrote it may have been
// damaged. Errors: kInternal when it is not exactly so many well-formed tensors.
Result<void> read_tensors(std::span<const std::byte> from, std::span<TensorView> tensors,
                          Arena& arena);

}  // namespace sluice::repository
