// Which path does what: one table of routes for all HTTP front ends.
//
// A front end adds its routes; a connection asks `admit` with a head, which decides everything that
// can be known before the body: the route, the method, the media type, the size. A route belongs to
// a surface, so that what changes or reveals the server never answers on a public listener.
//
// Thread-safety: routes are added before the server starts; afterwards read-only.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "transport/http.h"

namespace sluice::frontends {

enum class Surface { kEverywhere, kManagement };
enum class BodyKind { kNone, kJson };

struct Route {
  std::string_view method;   // "GET" answers HEAD too
  std::string_view pattern;  // "/models/{}/predict": {} is one segment
  Surface surface = Surface::kEverywhere;
  BodyKind body = BodyKind::kNone;
  std::function<void(const transport::ExchangePtr&)> serve;
};

class Router final : public transport::HttpService {
 public:
  explicit Router(std::size_t max_body) : max_body_(max_body) {}

  void add(Route route);

  transport::Admission admit(const transport::RequestHead& head) override;
  void serve(transport::ExchangePtr exchange) override;
  transport::Response refuse(int status, std::string_view reason,
                             std::string_view message) override;

 private:
  struct Pattern {
    Route route;
    std::vector<std::string_view> segments;
  };

  const std::size_t max_body_;
  std::vector<Pattern> routes_;
};

// The simple API's status for an error, and its answer.
int simple_status(const Error& error);
transport::Response simple_error(const Error& error);

}  // namespace sluice::frontends
