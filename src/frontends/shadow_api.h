// `GET /api/models/{m}/shadow`: how far shadow versions are from what users got.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_shadow_api(Router& router, const Parts& parts);

}  // namespace sluice::frontends
