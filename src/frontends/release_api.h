// Release control over HTTP: `/api/models/{m}/release` and its actions, `/api/models/{m}/bandit`
// (management), and `/feedback` (everywhere).
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_release_api(Router& router, const Parts& parts);

}  // namespace sluice::frontends
