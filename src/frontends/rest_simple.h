// The simple REST API (PRODUCT.md, section 3): predictions, health, readiness.
#pragma once

#include "frontends/router.h"
#include "serving/pipeline.h"

namespace sluice::frontends {

struct RestSimpleOptions {
  bool strict = false;  // an unknown key is an error
};

// `pipeline` outlives the router.
void add_rest_simple(Router& router, const serving::Pipeline& pipeline,
                     const RestSimpleOptions& options);

}  // namespace sluice::frontends
