// What was learned as text of model.yaml, and into a model.yaml that is there already.
//
// `inputs` and `output.training` become what was learned, `guard` is added where there is none;
// every other line stays byte for byte what it was, comments included. Where lines cannot be told
// apart (the file is one {…}, or a key is used again elsewhere by an anchor), the file is written
// anew with the same keys, without its comments.
//
// Thread-safety: functions without state.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/document.h"
#include "base/error.h"
#include "core/model_config.h"

namespace sluice::app {

struct Merged {
  std::string text;
  bool comments_lost = false;
};

// The blocks `inputs:` and, where predictions were learned, `output:` with what it said before.
std::string inputs_yaml(const std::vector<InputColumn>& columns);

// `old`: the text of model.yaml, empty where there is none. Errors: kInvalidArgument/`bad_config`
// where it has mistakes, or would have them.
Result<Merged> merge_model_yaml(const std::string& old, const std::vector<InputColumn>& columns,
                                const std::optional<PredictionTraining>& predictions);

}  // namespace sluice::app
