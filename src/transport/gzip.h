// gzip and deflate in one piece, with the size of the result bounded (zlib).
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::transport {

// Both formats are told apart by their first bytes. Errors: kInvalidArgument/`bad_compression`,
// kResourceExhausted/`too_large` as soon as more than `limit` bytes come out.
Result<std::string> inflate(std::string_view bytes, std::size_t limit);
std::string gzip(std::string_view bytes);

}  // namespace sluice::transport
