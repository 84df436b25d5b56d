// Numbers of a report as people read them, the same in a terminal and on a page.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::tools::compress {

std::string bytes_text(double bytes);        // "26.40 MB", powers of 1000
std::string percent(double share);           // "97.50 %" of 0.975
std::string times(double ratio);             // "1.80 ×"
std::string microseconds_text(double time);  // "12.3 µs", from a thousand on "1.23 ms"
// What a terminal's columns are counted in: code points of valid UTF-8, bytes of what is not.
std::size_t shown_width(std::string_view text);

}  // namespace sluice::tools::compress
