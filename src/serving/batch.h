// Several requests for one model as one run of it: their rows one behind the other, and the outputs
// split again.
//
// Thread-safety: plain functions on values of one owner.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/arena.h"
#include "core/engine.h"
#include "core/request.h"

namespace sluice::serving {

// Runs `members` as one and sets the outputs of each, which live as long as `arena`. Errors: of the
// engine, and kInternal/`not_batchable` when an output does not have a row for each row that went
// in; then no member has outputs.
Result<void> run_batch(const Model& model, std::span<RequestPtr> members, std::size_t rows,
                       Arena& arena);

}  // namespace sluice::serving
