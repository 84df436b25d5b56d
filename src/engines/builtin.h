// The engines that exist. To add one, write its file and add its line to builtin.cc.
#pragma once

#include "core/engine.h"
#include "core/registry.h"

namespace sluice::engines {

void register_builtin(Registry<Engine>& registry);

}  // namespace sluice::engines
