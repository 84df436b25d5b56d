// The one table of which API has which call: the router takes its routes from it, a test holds the
// gRPC methods and docs/endpoints.md to it. A call that is not in the table cannot be served, and a
// line without a handler fails the test.
//
// Thread-safety: constants.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sluice::frontends {

// Who may call; a right belongs to the call, not to its address.
enum class Surface : unsigned char {
  kEverywhere,
  kManagement,    // the management listener
  kMetrics,       // everywhere, unless `metrics.public: false`; then the management listener
  kModelControl,  // everywhere, once `--model-control explicit` allows it
};

enum class BodyKind : unsigned char {
  kNone,
  kJson,
  kTensors,   // JSON, or JSON followed by raw tensors
  kSettings,  // a little JSON, or nothing
};

struct Endpoint {
  std::string_view api;
  std::string_view method;  // "GET" answers HEAD too; "gRPC"
  std::string_view path;    // {} is one segment or the beginning of one; for gRPC /Service/Method
  Surface surface;
  BodyKind body;
  std::string_view what;
};

std::span<const Endpoint> endpoints();
// The line of the table, or null.
const Endpoint* find_endpoint(std::string_view method, std::string_view path);

// The table of docs/endpoints.md.
std::string endpoints_markdown();

}  // namespace sluice::frontends
