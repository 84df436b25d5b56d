// Beast's parser for the head of an HTTP/1.1 request, without a copy: names and values are views on
// the bytes that it was given. Used after `check_framing`, as a second reader of the same bytes:
// what either of the two refuses is refused.
//
// Thread-safety: one owner.
#pragma once

#include <expected>
#include <string_view>

#include "transport/framing_check.h"
#include "transport/http.h"

namespace sluice::transport {

// `head` is complete, up to and including the empty line, and outlives `out`.
std::expected<void, Refusal> parse_head(std::string_view head, RequestHead& out,
                                        std::string_view& target);

}  // namespace sluice::transport
