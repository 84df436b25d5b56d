// Looks at a request for `debug: true`: what its numbers are like, what is unusual about them, and
// where its time went.
//
// Anomalies are the seed's two (NaN; |z| > 3 within the request) and, where the model's columns
// have training statistics, values more than `guard.anomaly_z` standard deviations from their mean
// in training.
//
// Thread-safety: a function without state.
#pragma once

#include <memory>

#include "core/debug_info.h"
#include "core/request.h"
#include "serving/guard.h"

namespace sluice::serving {

// Of a request that was answered by a model of this signature. `guard`: null where it has none.
std::shared_ptr<const DebugInfo> debug_info(const Request& request, const Signature& signature,
                                            const Guard* guard);

}  // namespace sluice::serving
