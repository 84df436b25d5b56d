#include "routing/builtin.h"

#include "routing/newest.h"

namespace sluice::routing {

void register_builtin(Registry<PolicyFactory>& registry) { registry.add("newest", make_newest()); }

}  // namespace sluice::routing
