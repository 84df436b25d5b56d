// The strict reading of an HTTP/1.1 head, before any byte of a body.
//
// Parsers are commonly more lenient than two servers in a row can agree on: unknown and repeated
// transfer codings read as an empty body (so that the body becomes the next request), repeated
// Content-Length, folded lines, no or two Hosts, "%zz", any number of headers. Whatever could be
// read in two ways is refused here (RFC 9112, sections 2, 3, 5, 6; RFC 9110, section 7.2).
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "transport/http.h"

namespace sluice::transport {

struct Refusal {
  int status = 400;
  std::string_view reason = "bad_request";
  std::string_view message;
};

struct Framing {
  std::uint64_t content_length = 0;
  bool chunked = false;
  bool keep_alive = true;
  bool http10 = false;
  bool expect_continue = false;
};

// Reads method and headers into `out`, without a copy: they are views on `head`, which is
// everything up to and including the empty line, and outlives `out`. `target` is as it came, for
// `check_target`.
std::expected<Framing, Refusal> parse_head(std::string_view head, const HttpLimits& limits,
                                           RequestHead& out, std::string_view& target);

// `name: value` as a header or trailer may be: the name a token, no control characters.
bool is_field_line(std::string_view line);

struct Target {
  std::string_view path;
  std::string_view query;
};

// Splits and decodes a request target in origin form, or in absolute form for `host`. `storage`
// holds the decoded path when decoding changed it.
std::expected<Target, Refusal> check_target(std::string_view target, std::string_view host,
                                            std::string& storage);

}  // namespace sluice::transport
