// model.yaml, from text to ModelConfig.
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <vector>

#include "base/document.h"
#include "core/model_config.h"

namespace sluice::sources {

struct ModelYaml {
  ModelConfig config;
  Problems problems;
  std::vector<std::string> warnings;  // keys that this build does not act on
};

ModelYaml read_model_yaml(const std::string& text);

}  // namespace sluice::sources
