// The steps of latency histograms as Prometheus sees them: preferred numbers, ten to the decade for
// whole requests (a quantile read off them is within some 12 %) and five for their parts.
//
// Thread-safety: constants.
#pragma once

#include <vector>

namespace sluice::frontends {

// Seconds, from 50 µs to 10 s.
const std::vector<double>& fine_ladder();
const std::vector<double>& coarse_ladder();

}  // namespace sluice::frontends
