// TensorFlow Serving's REST API, which KServe v1 shares.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

void add_rest_tfserving(Router& router, const Parts& parts);

}  // namespace sluice::frontends
