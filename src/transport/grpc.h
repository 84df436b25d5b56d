// gRPC as the front ends see it, and its wire rules (github.com/grpc/grpc,
// doc/PROTOCOL-HTTP2.md): messages framed by five bytes, status in the trailers.
//
// Thread-safety: GrpcCall's functions may be called from any thread; handlers are called on the
// call's I/O thread. GrpcMethods is read-only after start-up.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "transport/http.h"

namespace sluice::transport {

class GrpcCall {
 public:
  virtual ~GrpcCall() = default;
  // Metadata are the head's headers.
  virtual const RequestHead& head() const = 0;
  virtual std::chrono::steady_clock::time_point deadline() const = 0;
  // Becomes true when the client is gone or has cancelled; lives as long as the call.
  virtual const std::atomic<bool>& cancelled() const = 0;
  // The turn of the thread that serves it; for use on that thread.
  virtual Turn& turn() = 0;
  virtual void send(std::string message) = 0;
  virtual void finish(Code code, std::string message) = 0;
  // `send` and a successful `finish` in one step.
  virtual void reply(std::string message) = 0;
};
using GrpcCallPtr = std::shared_ptr<GrpcCall>;

// A streaming call's handler, one per call.
class GrpcStream {
 public:
  virtual ~GrpcStream() = default;
  virtual void on_message(std::string message) = 0;
  virtual void on_half_close() = 0;
  virtual void on_cancel() = 0;
  // The server is about to end: finish what was asked for, then the call.
  virtual void on_drain() = 0;
};

struct GrpcMethod {
  // Exactly one of the two. `message` stays valid until the call has finished.
  std::function<void(const GrpcCallPtr& call, std::string_view message)> unary;
  std::function<std::unique_ptr<GrpcStream>(GrpcCallPtr call)> streaming;
};

class GrpcMethods {
 public:
  // `path` as on the wire: "/package.Service/Method".
  void add(std::string path, GrpcMethod method);
  const GrpcMethod* find(std::string_view path) const;
  std::set<std::string> paths() const;
  // Full names of the services that have methods.
  std::vector<std::string> services() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, GrpcMethod, Hash, std::equal_to<>> methods_;
};

inline constexpr std::size_t kGrpcPrefix = 5;

// "100m" → 100 ms; nothing when malformed.
std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text);
// The form of `grpc-message`: percent-encoded UTF-8.
std::string encode_grpc_message(std::string_view text);
// Appends the five bytes before a message.
void append_grpc_prefix(std::string& out, bool compressed, std::size_t length);
// "identity, gzip" contains "gzip".
bool accepts_encoding(std::string_view list, std::string_view encoding);

}  // namespace sluice::transport
