// `GET /api/models/{m}/drift`: whether inputs and predictions still look as in training.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_drift_api(Router& router, const Parts& parts);

}  // namespace sluice::frontends
