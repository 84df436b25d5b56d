// Requests that were kept elsewhere, on their way back to the loops that they came from.
//
// Thread-safety: functions without state, from any thread.
#pragma once

#include <span>

#include "core/request.h"

namespace sluice {

// On this thread.
void resume(RequestPtr request);
// One post for each loop; those without one go on here.
void hand_back(std::span<RequestPtr> requests);

}  // namespace sluice
