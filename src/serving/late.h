// Requests that nobody waits for any more: cancelled, or past their deadline.
//
// Thread-safety: functions without state, on a request of the caller's.
#pragma once

#include "core/request.h"

namespace sluice::serving {

bool is_cancelled(const Request& request);
// Cancelled, or past its deadline at `now`.
bool is_late(const Request& request, TimePoint now);
// What it is answered.
Error late_error(const Request& request);

}  // namespace sluice::serving
