// What is unusual about a request's numbers, seen by themselves: the seed's two rules, NaN and
// |z| > 3 (`far`) among the values of the request.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <vector>

#include "core/debug_info.h"
#include "core/request.h"
#include "core/signature.h"

namespace sluice::serving {

InputStatistics input_statistics(const Request& request);
// One sentence for each rule that is broken.
std::vector<std::string> anomalies_within(const Request& request, const Signature& signature,
                                          const InputStatistics& seen, double far = 3);

}  // namespace sluice::serving
