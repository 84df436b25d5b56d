// Which path does what, for all HTTP APIs, by the table in endpoints.h.
//
// A front end gives a handler for each of its lines; a connection asks `admit` with a head, which
// decides everything that can be known before the body: the route, who may call it, the method, the
// page that a browser sends it for, the media type and coding, the size. What is refused is told in
// the form of the API that the path belongs to.
//
// Thread-safety: handlers are given before the server starts; afterwards read-only.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "frontends/endpoints.h"
#include "frontends/http_errors.h"
#include "frontends/settings.h"
#include "transport/http.h"

namespace sluice::frontends {

struct RouterOptions {
  std::size_t max_body = std::size_t{64} << 20;  // also after decompression
  bool model_control = false;
};

class Router final : public transport::HttpService {
 public:
  using Handler = std::function<void(const transport::ExchangePtr&)>;

  Router(RouterOptions options, const LiveSettings& settings)
      : options_(options), settings_(settings) {}

  // The line of the table with this method and path; it must exist.
  void serve(std::string_view method, std::string_view path, Handler handler);
  bool serves(const Endpoint& endpoint) const;

  transport::Admission admit(const transport::RequestHead& head) override;
  void serve(transport::ExchangePtr exchange) override;
  transport::Response refuse(std::string_view target, int status, std::string_view reason,
                             std::string_view message) override;

 private:
  static constexpr std::size_t kMaxSegments = 8;

  struct Path {
    std::array<std::string_view, kMaxSegments> segments;
    std::size_t count = 0;
  };
  struct Api;
  struct Route {
    const Endpoint* endpoint;
    const Api* api;
    std::vector<std::string_view> segments;
    Handler handler;
  };

  bool hidden(const Endpoint& endpoint, const transport::RequestHead& head) const;
  static const Api& api_of(std::string_view path);
  static bool split_path(std::string_view path, Path& out);
  static bool matches(const Route& route, const Path& path);
  static void take_parameters(const Route& route, const Path& path, transport::Admission& out);
  Result<void> admit_route(const Route& route, const transport::RequestHead& head,
                           transport::Admission& out) const;

  const RouterOptions options_;
  const LiveSettings& settings_;
  // By number of segments: a look-up compares with a handful.
  std::array<std::vector<Route>, kMaxSegments + 1> routes_;
};

}  // namespace sluice::frontends
