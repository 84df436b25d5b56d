// What the management listener tells of the server: `GET /api/models`.
#pragma once

#include "core/serving_table.h"
#include "frontends/router.h"

namespace sluice::frontends {

// `tables` outlives the router.
void add_management(Router& router, const ServingTables& tables);

}  // namespace sluice::frontends
