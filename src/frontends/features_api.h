// GET /api/features and /api/features/{store}/{entity}: what feature stores have, for people.
// Thread-safety: see Router.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_features_api(Router& router, const Parts& parts);

}  // namespace sluice::frontends
