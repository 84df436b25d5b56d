// HTTP requests to other servers, by libcurl: the only place that sees it.
//
// Blocking, each with its limits. TLS certificates are always checked. Proxies are taken from the
// environment as curl does, but never for this machine itself and for what gives it credentials.
// Connections are kept and used again.
//
// Thread-safety: any number of threads may share a client.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace sluice::clients {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// The value of the first header of this name in any case, or null.
const std::string* find_header(const HttpHeaders& headers, std::string_view name);

// A piece of a file as a request's body: read while it is sent, and never in memory as a whole.
struct HttpFile {
  const Fd* fd = nullptr;  // null: the body is `HttpRequest::body`
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;  // http:// or https://, percent-encoded
  HttpHeaders headers;
  std::string body;
  HttpFile file;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{0};  // of the whole; 0: none
  // Given up when fewer bytes a second than this come or go, for that long; 0: never.
  std::int64_t stall_rate = 1024;
  std::chrono::seconds stall_time{10};
  std::uint64_t max_body = std::uint64_t{64} << 20;  // of what is kept in memory
  bool follow = false;                               // redirects, but never away from https
  const std::atomic<bool>* stop = nullptr;           // ends it early
};

struct HttpAnswer {
  int status = 0;
  HttpHeaders headers;
  std::string body;
};

// Gets the body of a 2xx in pieces, with the answer's status and headers; false: no more is wanted.
using HttpSink = std::function<bool(const HttpAnswer& head, std::span<const std::byte> piece)>;

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any status is an answer. With a sink the body of a 2xx goes there and is not in the answer, and
  // of other bodies the first 64 KiB are. Errors: kUnavailable/`unreachable`, `cut`, `stalled`;
  // kFailedPrecondition/`bad_certificate`; kResourceExhausted/`too_large`; kCancelled when stopped;
  // kInternal/`unreadable` where the request's file cannot be read or has become shorter.
  // Messages show no address.
  Result<HttpAnswer> send(const HttpRequest& request, const HttpSink& sink = nullptr) const;

 private:
  struct Pool;
  const std::unique_ptr<Pool> pool_;
};

// "a%20b": all but letters, digits and -._~; slashes too, unless they are kept.
std::string percent_encode(std::string_view text, bool keep_slashes);
std::string percent_decode(std::string_view text);

struct Url {
  std::string scheme;     // "https"
  std::string authority;  // "host:port", as written
  std::string host;       // without brackets
  std::string port;       // as written, or the scheme's
  std::string path;       // as written, percent-encoded; "/" at least
  std::string query;      // without the question mark
  std::string fragment;   // without the hash

  std::string origin() const { return scheme + "://" + authority; }
};
// Errors: kInvalidArgument/`bad_url`: not http or https, no host, or a user in it. Messages repeat
// no more of it than its scheme.
Result<Url> parse_http_url(std::string_view text);

}  // namespace sluice::clients
