// Reads and writes the headers by which a caller says in which trace a request is: W3C Trace
// Context, Recommendation of 23 November 2021 (www.w3.org/TR/trace-context-1). Keys of `tracestate`
// may be all that Level 2 allows, which is more.
//
// Thread-safety: functions without state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct TraceParent {
  std::array<std::byte, 16> trace{};  // never all zero
  std::uint64_t parent = 0;           // the caller's span; never 0
  bool sampled = false;               // the caller may have recorded it
  friend bool operator==(const TraceParent&, const TraceParent&) = default;
};

// Nothing where the header is not valid: then the trace begins anew. Of versions after 00 what 00
// knows is read.
std::optional<TraceParent> parse_traceparent(std::string_view header);

// In version 00.
std::string print_traceparent(const TraceParent& parent);

// At least so many characters are to be passed on; here it is at most.
inline constexpr std::size_t kMostTraceState = 512;

// A `tracestate` list without empty members and spaces around them, cut to kMostTraceState: members
// of more than 128 characters go first, then the last ones. Empty where the list is not valid.
std::string clean_tracestate(std::string_view list);

}  // namespace sluice
