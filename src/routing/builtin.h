// The traffic policies that exist. To add one, write its file and add its line to builtin.cc.
#pragma once

#include "core/policy.h"
#include "core/registry.h"

namespace sluice::routing {

void register_builtin(Registry<PolicyFactory>& registry);

}  // namespace sluice::routing
