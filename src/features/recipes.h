// Features that are made of others when a request is there.
//
// Thread-safety: a pure function.
#pragma once

#include <cstdint>

#include "core/feature_value.h"
#include "features/plan.h"

namespace sluice::features {

// Null where one of them is missing, or there is no such number (through 0, the logarithm of less
// than 0). Unreadable where one of them is no number, or no time. `now_ns`: since 1970.
FeatureData make_feature(const Recipe& recipe, const FeatureData& first, const FeatureData& second,
                         std::int64_t now_ns);

}  // namespace sluice::features
