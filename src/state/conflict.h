// What every store says when somebody else was faster.
//
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace sluice::state {

// kAborted/`revision_conflict`: `key` is at revision `there` (0: not there) and not at `expected`.
Failure revision_conflict(std::string_view key, std::uint64_t there, std::uint64_t expected);

}  // namespace sluice::state
