// Points in time as texts: nanoseconds since 1970, and back.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// Nanoseconds since 1970: RFC 3339, the same with a space for the T or without a zone (then UTC), a
// date alone, or seconds as a decimal number. Nothing where it is none of them, or not between the
// years 1677 and 2262.
std::optional<std::int64_t> parse_time(std::string_view text);

// RFC 3339 in UTC, with a fraction only where there is one: "2026-11-26T10:00:00Z".
void append_time(std::int64_t ns, std::string& out);

}  // namespace sluice
