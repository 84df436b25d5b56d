#include "release/builtin.h"

namespace sluice::release {

void register_builtin(Registry<ReleasePolicyMaker>& registry) {
  registry.add("split", make_split());
  registry.add("canary", make_canary());
  registry.add("bandit", make_bandit());
}

}  // namespace sluice::release
