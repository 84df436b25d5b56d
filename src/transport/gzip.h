// gzip and deflate in one piece, with the size of the result bounded (zlib).
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::transport {

// Both formats are told apart by their first bytes. Errors: kInvalidArgument/`bad_compression`,
// kResourceExhausted/`too_large` as soon as more than `limit` bytes come out, or more than a
// hundred times what went in (beyond the first MiB): that is a bomb, not a request.
Result<std::string> inflate(std::string_view bytes, std::size_t limit);
std::string gzip(std::string_view bytes);
// What HTTP calls deflate: the zlib format (RFC 1950).
std::string deflate(std::string_view bytes);

}  // namespace sluice::transport
