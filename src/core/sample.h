// Inputs made from a signature, to run a model before anybody asks it: zeros and empty strings, one
// row, free dimensions 1.
//
// Thread-safety: a function without state.
#pragma once

#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "core/signature.h"

namespace sluice {

// In signature order; memory comes from `arena`. Errors: a shape that is no size.
Result<std::vector<TensorView>> sample_inputs(const Signature& signature, Arena& arena);

}  // namespace sluice
