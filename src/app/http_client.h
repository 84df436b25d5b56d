// One HTTP request to a running server, for commands: blocking, with a time limit.
// Thread-safety: functions without state.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "clients/http.h"

namespace sluice::app {

using clients::HttpAnswer;
using clients::Url;

// "http://host:port/path". Errors: kInvalidArgument/`bad_url`.
Result<Url> parse_url(std::string_view text);
// Of a server on this machine.
Url local_url(const std::string& port, const std::string& path);

// Errors: kUnavailable/`unreachable`.
Result<HttpAnswer> http_request(const Url& url, std::string_view method, std::string_view body,
                                std::chrono::milliseconds timeout);

}  // namespace sluice::app
