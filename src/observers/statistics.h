// Counts finished requests and where their time went, for each version (core/tally.h).
//
// A request that its client got wrong is no failure of the model, and not counted as one.
#pragma once

#include <memory>

#include "core/observer.h"

namespace sluice::observers {

std::unique_ptr<const Observer> make_statistics();

}  // namespace sluice::observers
