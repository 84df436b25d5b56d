// GET /api/models/{m}/metrics and /recent: what a model was asked and how it answered.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_watch_api(Router& router, const Parts& parts);

}  // namespace sluice::frontends
