// What steps/builtin.cc lists: one function per file of this folder. docs/pipelines.md says what
// each does.
#pragma once

#include "engines/step.h"

namespace sluice::engines {

std::shared_ptr<const StepKind> make_argmax();
std::shared_ptr<const StepKind> make_cast();
std::shared_ptr<const StepKind> make_concat();
std::shared_ptr<const StepKind> make_one_hot();
std::shared_ptr<const StepKind> make_select();
std::shared_ptr<const StepKind> make_softmax();
std::shared_ptr<const StepKind> make_standardise();
std::shared_ptr<const StepKind> make_threshold();
std::shared_ptr<const StepKind> make_vocabulary();

}  // namespace sluice::engines
