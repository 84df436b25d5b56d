// GET /metrics: what is counted, in Prometheus' text format (version 0.0.4).
// Thread-safety: see router.h.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_metrics(Router& router, const Parts& parts);

}  // namespace sluice::frontends
