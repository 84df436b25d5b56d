// Small things side by side that wait for others most of the time.
//
// Thread-safety: works on threads of its own until it returns.
#pragma once

#include <cstddef>
#include <functional>

#include "base/error.h"

namespace sluice::tools::batch {

// Calls `work` with each number below `count`, by one of a few threads, until one fails. Answers
// the first error.
Result<void> few_at_once(std::size_t count, const std::function<Result<void>(std::size_t)>& work);

}  // namespace sluice::tools::batch
