// The engines that exist. To add one, write its file and add its line to builtin.cc.
#pragma once

#include <string>

#include "core/engine.h"
#include "core/registry.h"

namespace sluice::engines {

// What engines are told by whoever starts the program.
struct EngineOptions {
  std::string python;  // that runs pickles; empty: the first that imports sklearn
};

void register_builtin(Registry<Engine>& registry, const EngineOptions& options = {});

}  // namespace sluice::engines
