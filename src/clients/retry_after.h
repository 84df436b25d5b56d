// The header by which a server says when it may be asked again (RFC 9110, section 10.2.3).
// Thread-safety: functions without state.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace sluice::clients {

// A whole number of seconds, or a date such as "Sun, 06 Nov 1994 08:49:37 GMT"; one that is past is
// 0. Nothing where it is neither. At most a day.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                      std::chrono::system_clock::time_point now);

}  // namespace sluice::clients
