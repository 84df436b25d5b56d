// Strict JSON on top of simdjson's on-demand parser. Internal to codecs.
//
// On-demand parsing looks only at what is asked for, so garbage, NaN, bad escapes and any depth
// would pass in values that nobody reads; it lets duplicate keys and a second document pass too.
// Here every value is visited, depth is counted, and the end is checked.
//
// Thread-safety: functions without state; the parser belongs to one thread.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::codecs {

namespace od = simdjson::ondemand;

inline constexpr int kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxNumberLength = 64;
inline constexpr std::size_t kMaxStringLength = std::size_t{16} << 20;
// simdjson reads up to this far beyond the end of its input.
inline constexpr std::size_t kJsonPadding = simdjson::SIMDJSON_PADDING;

// This thread's parser. What a large body made it allocate is given back with the next call.
od::parser& thread_parser();

// 400 `not_json`, with the place where reading stopped.
Failure not_json(simdjson::error_code error, od::document& document, std::string_view body);
Failure not_json(std::string_view what);
// Why `document` is no object: no JSON at all, or JSON of another kind.
Failure not_an_object(simdjson::error_code error, od::document& document, std::string_view body,
                      std::string_view with);

// Visits all of `value`, so that what is not JSON is found wherever it hides.
Result<void> visit(od::value value, int depth = 0);

// Text, with escapes resolved; valid until the parser's next document. `name` is for messages.
Result<std::string_view> read_string(od::value value, std::string_view name);
Result<bool> read_bool(od::value value, std::string_view name);
// A finite double.
Result<double> read_double(od::value value, std::string_view name);

// The type of a value as a word for messages.
std::string_view kind_of(od::value value);

}  // namespace sluice::codecs
