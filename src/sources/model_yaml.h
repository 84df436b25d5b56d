// model.yaml, from text to ModelConfig.
// Thread-safety: functions without state.
#pragma once

#include <string>

#include "base/document.h"
#include "core/model_config.h"

namespace sluice::sources {

struct ModelYaml {
  ModelConfig config;
  Problems problems;
};

ModelYaml read_model_yaml(const std::string& text);

}  // namespace sluice::sources
