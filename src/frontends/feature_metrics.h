// What feature stores did, for /metrics. Internal to frontends.
// Thread-safety: a function without state.
#pragma once

#include "features/features.h"
#include "telemetry/exposition.h"

namespace sluice::frontends {

void write_features(Exposition& out, const features::Features& features);

}  // namespace sluice::frontends
