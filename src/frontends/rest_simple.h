// The simple REST API (docs/rest-api.md): predictions, health, readiness.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_rest_simple(Router& router, const Parts& parts);

}  // namespace sluice::frontends
