// The kinds of steps that exist, apart from models.
#pragma once

#include "engines/step.h"

namespace sluice::engines {

void register_steps(StepKinds& kinds);

}  // namespace sluice::engines
