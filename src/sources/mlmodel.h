// MLflow's description of a model, the file `MLmodel`: which of the files beside it is the model.
//
// Thread-safety: a function without state.
#pragma once

#include <string>

#include "base/error.h"

namespace sluice::sources {

// The file that the first flavor names that we can run: onnx, xgboost, sklearn (in this order).
// Errors: kInvalidArgument/`bad_model` when the text is not YAML, or has no such flavor.
Result<std::string> file_of_mlmodel(const std::string& text);

}  // namespace sluice::sources
