// What the management listener tells of the server: `GET /api/models`.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_management(Router& router, const Parts& parts);

}  // namespace sluice::frontends
