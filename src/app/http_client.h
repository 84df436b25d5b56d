// One HTTP request to a running server, for commands: blocking, with a time limit.
// Thread-safety: functions without state.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::app {

struct Url {
  std::string host;
  std::string port = "80";
  std::string path = "/";
};
// "http://host:port/path". Errors: kInvalidArgument/`bad_url`.
Result<Url> parse_url(std::string_view text);

struct HttpAnswer {
  int status = 0;
  std::string body;
};
// Errors: kUnavailable/`unreachable`.
Result<HttpAnswer> http_request(const Url& url, std::string_view method, std::string_view body,
                                std::chrono::milliseconds timeout);

}  // namespace sluice::app
