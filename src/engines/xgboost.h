// Gradient-boosted trees through XGBoost's C API (the only folder that sees its header).
//
// One input `features` [N,F] of FP32, NaN for missing; one output, named and shaped by the
// objective. Rows are predicted in place, without a DMatrix, on the calling thread.
#pragma once

#include <memory>

#include "core/engine.h"

namespace sluice::engines {

std::shared_ptr<const Engine> make_xgboost();

}  // namespace sluice::engines
