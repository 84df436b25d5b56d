// What was learned as text of model.yaml, and into a model.yaml that is there already.
//
// `inputs` and `output.training` become what was learned, `guard` is added where there is none
// (tools/yaml/model_yaml_blocks.h).
//
// Thread-safety: functions without state.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/document.h"
#include "base/error.h"
#include "core/model_config.h"
#include "tools/yaml/model_yaml_blocks.h"

namespace sluice::app {

// The blocks `inputs:` and, where predictions were learned, `output:` with what it said before.
std::string inputs_yaml(const std::vector<InputColumn>& columns);

// `old`: the text of model.yaml, empty where there is none. Errors: kInvalidArgument/`bad_config`
// where it has mistakes, or would have them.
Result<tools::MergedYaml> merge_model_yaml(const std::string& old,
                                           const std::vector<InputColumn>& columns,
                                           const std::optional<PredictionTraining>& predictions);

}  // namespace sluice::app
