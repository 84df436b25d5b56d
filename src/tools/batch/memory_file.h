// A file that is nowhere but in memory.
#pragma once

#include <sys/mman.h>

#include "base/error.h"
#include "base/file.h"

namespace sluice::tools::batch {

// `what`: one word for whoever looks at the process. Errors: kResourceExhausted/`too_large`.
inline Result<Fd> memory_file(const char* what) {
  Fd out(::memfd_create(what, MFD_CLOEXEC));
  if (out) return out;
  return fail(Code::kResourceExhausted, "too_large",
              "there is no memory for a part of the table; use fewer --workers");
}

}  // namespace sluice::tools::batch
