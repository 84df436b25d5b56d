// The time of day, for what is kept and shown. Nothing that is decided depends on it.
//
// Thread-safety: functions without state.
#pragma once

#include <string>

#include "release/feedback_book.h"

namespace sluice::release {

WallMillis wall_millis();
// The same as it went on since the process began, whatever was done to the clock meanwhile: for
// how long something has waited, also across restarts.
WallMillis kept_millis();
// "2026-11-26T17:00:00.123Z".
std::string wall_text(WallMillis millis);

}  // namespace sluice::release
