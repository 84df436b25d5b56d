// The Open Inference Protocol v2 over REST, with the extensions of Triton.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_rest_oip(Router& router, const Parts& parts);
// The calls that change something: repository, shared memory, settings. Called by add_rest_oip.
void add_rest_oip_control(Router& router, const Parts& parts);

}  // namespace sluice::frontends
