// Files that are nowhere but in memory, used again and again: their pages are there already, and
// new ones are what such a file costs most.
//
// Thread-safety: `take` from any thread; a file is its holder's. The files outlive whoever made
// them.
#pragma once

#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace sluice::tools::batch {

// One that is new, and its holder's alone. `what`: one word for whoever looks at the process.
// Errors: kResourceExhausted/`too_large`.
Result<Fd> memory_file(const char* what);

class MemoryFiles {
 public:
  explicit MemoryFiles(const char* what);

  // It goes back when the last holder lets go. What was in it before is there still: whoever writes
  // it cuts it off behind what he wrote (`cut_behind`). Errors: as above.
  Result<std::shared_ptr<const Fd>> take();

 private:
  struct Shelf;
  std::shared_ptr<Shelf> shelf_;
};

// To its front, without giving its pages back.
void rewind(const Fd& fd);
// What lies behind the place where it stands is gone. Errors: kUnavailable/`unwritable`.
Result<void> cut_behind(const Fd& fd);

}  // namespace sluice::tools::batch
