// A step of one of our own kinds, made from what the pipeline's YAML says.
//
// Thread-safety: a function without state.
#pragma once

#include "engines/graph_decl.h"
#include "engines/step.h"

namespace sluice::engines {

// Null where problems have been told; each of them names the step. Errors: kUnavailable while a
// file is being changed.
Result<std::unique_ptr<Step>> make_step(const StepKinds& kinds, const StepDecl& step,
                                        const std::shared_ptr<const Fd>& directory,
                                        Problems& problems);

}  // namespace sluice::engines
