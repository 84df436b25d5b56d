// What can be said of a pipeline without loading its models, for `sluice config check`.
//
// Thread-safety: a function without state.
#pragma once

#include <memory>

#include "base/document.h"
#include "base/file.h"

namespace sluice::engines {

// Keys, steps' options, files that steps read or that are missing, and how steps are wired as far
// as names are known: those of a model's inputs and outputs stand in its file. `directory`: of the
// files.
void check_pipeline(const Node& pipeline, const std::shared_ptr<const Fd>& directory,
                    Problems& problems);

}  // namespace sluice::engines
