// gzip and deflate around an exchange (RFC 9110, section 8.4): the body that a service sees is
// plain, and its answer is compressed for clients that asked for that.
//
// Thread-safety: functions without state; the wrapped exchange is as its own.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "transport/http.h"

namespace sluice::transport {

// Of a Content-Encoding header; nothing when it is not understood (or there are several).
std::optional<Coding> coding_named(std::string_view content_encoding);

// The best that an Accept-Encoding header allows: gzip before deflate before nothing.
Coding accepted_coding(std::string_view accept_encoding);

// Does what the exchange's admission says of codings; `exchange` itself when that is nothing.
// Answers shorter than `min_answer` are not worth it. Errors: kInvalidArgument/`bad_compression`,
// kResourceExhausted/`too_large`.
Result<ExchangePtr> with_coding(ExchangePtr exchange, std::size_t min_answer);

}  // namespace sluice::transport
