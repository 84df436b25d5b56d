// The bandit algorithms that exist. To add one, write its file and add its line to builtin.cc.
#pragma once

#include "core/registry.h"
#include "routing/bandit_algorithm.h"

namespace sluice::routing {

void register_builtin(Registry<BanditAlgorithm>& registry);

}  // namespace sluice::routing
