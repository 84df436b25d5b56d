// HTTP as the front ends see it, whatever version is on the wire.
//
// A connection reads a head, asks the HttpService whether it wants the body (so that caps, keys and
// limits are decided before a byte of it is parsed), reads the body and hands over an Exchange. The
// exchange must be answered once, from any thread.
//
// Views are valid as long as the exchange pointer is held.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/turn.h"

namespace sluice::transport {

// More than a browser or a proxy sends, less than would hurt (docs/configuration.md has those that
// can be set).
struct HttpLimits {
  std::size_t request_line = 8 << 10;
  std::size_t head = 32 << 10;
  std::size_t headers = 100;
  std::size_t body = std::size_t{64} << 20;
  std::size_t chunks = 65536;
  std::size_t chunk_extension = 256;
  std::size_t connections = 10000;              // of the public listeners
  std::size_t output = std::size_t{256} << 20;  // of an HTTP/2 connection, not yet taken
  std::chrono::milliseconds head_timeout{10'000};
  std::chrono::milliseconds body_timeout{10'000};  // without a byte
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds unread_timeout{60'000};  // HTTP/2: without a byte taken
};

struct Header {
  std::string_view name;
  std::string_view value;
};

struct RequestHead {
  std::string_view method;
  std::string_view path;   // percent-decoded once, never again
  std::string_view query;  // as it came
  std::vector<Header> headers;
  bool management = false;  // came in through the management listener

  // The first header with this name (any case), or nothing.
  std::optional<std::string_view> find(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json";  // a literal
  std::vector<std::pair<std::string, std::string>> headers;
  bool close = false;  // end the connection after this answer
};

// How a body is compressed (RFC 9110, section 8.4.1).
enum class Coding : unsigned char { kIdentity, kGzip, kDeflate };

// What a service said to a head: go on, or this answer at once.
struct Admission {
  const void* route = nullptr;                 // the service's own
  std::array<std::string_view, 3> parameters;  // pieces of head.path
  std::size_t max_body = 0;
  Coding request_coding = Coding::kIdentity;
  Coding answer_coding = Coding::kIdentity;
  std::optional<Response> refusal;
};

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const RequestHead& head() const = 0;
  virtual const Admission& admission() const = 0;
  // The whole body, followed by at least Buffer::kPadding readable bytes.
  virtual std::string_view body() const = 0;
  // The turn of the thread that serves it; for use on that thread.
  virtual Turn& turn() = 0;
  // Any thread; exactly once.
  virtual void respond(Response response) = 0;
};
using ExchangePtr = std::shared_ptr<Exchange>;

// Thread-safety: called from every I/O thread.
class HttpService {
 public:
  virtual ~HttpService() = default;
  virtual Admission admit(const RequestHead& head) = 0;
  virtual void serve(ExchangePtr exchange) = 0;
  // The answer to what is wrong below HTTP's own meaning (framing, size, time), in the form that
  // belongs to `target`: as it came, unchecked, and empty where not even that is known. `message`
  // is a sentence for the user.
  virtual Response refuse(std::string_view target, int status, std::string_view reason,
                          std::string_view message) = 0;
};

std::string_view reason_phrase(int status);

}  // namespace sluice::transport
