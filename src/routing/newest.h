// The route of a model without a release: the newest ready version takes all the traffic.
#pragma once

#include <memory>

#include "core/policy.h"

namespace sluice::routing {

std::shared_ptr<const Route> make_newest();

}  // namespace sluice::routing
