// The release policies that exist. To add one, write its file, declare its maker here, and add its
// line to builtin.cc.
#pragma once

#include <memory>

#include "core/registry.h"
#include "release/policy.h"

namespace sluice::release {

std::shared_ptr<const ReleasePolicyMaker> make_split();
std::shared_ptr<const ReleasePolicyMaker> make_canary();
std::shared_ptr<const ReleasePolicyMaker> make_bandit();

void register_builtin(Registry<ReleasePolicyMaker>& registry);

}  // namespace sluice::release
