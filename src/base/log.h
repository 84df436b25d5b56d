// The process log: one line an event on stderr, for people and for log collectors.
//
// Values that came from outside go through `printable` first, so that a line stays a line.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <string_view>

namespace sluice::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };

// Lines of this level and of those above it are written; the default is kInfo.
void set_level(Level level);
// One level alone.
void enable(Level level, bool on);
bool enabled(Level level);

void debug(std::string_view message);
void info(std::string_view message);
void warn(std::string_view message);
void error(std::string_view message);

}  // namespace sluice::log
