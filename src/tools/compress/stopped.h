// What a method answers when it is stopped.
// Thread-safety: a function without state.
#pragma once

#include "base/error.h"

namespace sluice::tools::compress {

inline Failure stopped() {
  return fail(Code::kCancelled, "stopped", "stopped; nothing was written");
}

}  // namespace sluice::tools::compress
