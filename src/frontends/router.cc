#include "frontends/router.h"

#include <array>

#include "base/text.h"
#include "codecs/simple_json.h"

namespace sluice::frontends {
namespace {

using transport::Admission;
using transport::RequestHead;
using transport::Response;

constexpr std::size_t kMaxSegments = 8;

struct Path {
  std::array<std::string_view, kMaxSegments> segments;
  std::size_t count = 0;
};

// False when there are more segments than any route has.
bool split_path(std::string_view path, Path& out) {
  path.remove_prefix(1);
  while (true) {
    if (out.count == kMaxSegments) return false;
    const auto end = path.find('/');
    out.segments[out.count++] = path.substr(0, end);
    if (end == std::string_view::npos) return true;
    path.remove_prefix(end + 1);
  }
}

bool matches(const std::vector<std::string_view>& pattern, const Path& path) {
  if (pattern.size() != path.count) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != "{}" && pattern[i] != path.segments[i]) return false;
  }
  return true;
}

bool method_fits(std::string_view wanted, std::string_view method) {
  return wanted == method || (wanted == "GET" && method == "HEAD");
}

// No media type is taken for JSON; KServe's clients send none.
bool is_json(std::string_view type) {
  const auto parts = split(type, ';');
  const auto media = trim(parts[0]);
  if (!iequals(media, "application/json") && !media.ends_with("+json")) return false;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto parameter = trim(parts[i]);
    if (!iequals(parameter.substr(0, 8), "charset=")) continue;
    auto charset = parameter.substr(8);
    if (charset.size() >= 2 && charset.front() == '"')
      charset = charset.substr(1, charset.size() - 2);
    if (!iequals(charset, "utf-8") && !iequals(charset, "us-ascii")) return false;
  }
  return true;
}

Failure unsupported(std::string message) {
  return fail(Code::kInvalidArgument, "unsupported_media", std::move(message));
}

Result<void> check_body_headers(const RequestHead& head) {
  if (const auto type = head.find("content-type"); type && !is_json(*type)) {
    return unsupported("the body must be JSON: send Content-Type: application/json");
  }
  const auto encoding = head.find("content-encoding");
  if (encoding && !iequals(trim(*encoding), "identity")) {
    return unsupported("Content-Encoding '" + printable(*encoding, 32) +
                       "' is not understood here");
  }
  return {};
}

Response method_not_allowed(const std::string& allowed) {
  auto response = simple_error(Error{
      Code::kInvalidArgument, "method_not_allowed", "this path answers " + allowed + " only", {}});
  response.headers.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

void Router::add(Route route) {
  Pattern pattern{std::move(route), {}};
  pattern.segments = split(pattern.route.pattern.substr(1), '/');
  routes_.push_back(std::move(pattern));
}

Admission Router::admit(const RequestHead& head) {
  Admission out;
  Path path;
  std::string allowed;
  const bool split_up = split_path(head.path, path);
  for (const auto& pattern : routes_) {
    const Route& route = pattern.route;
    if (!split_up || (route.surface == Surface::kManagement && !head.management) ||
        !matches(pattern.segments, path)) {
      continue;
    }
    if (!method_fits(route.method, head.method)) {
      if (!allowed.empty()) allowed += ", ";
      allowed += route.method == "GET" ? "GET, HEAD" : std::string(route.method);
      continue;
    }
    if (route.body == BodyKind::kJson) {
      if (auto ok = check_body_headers(head); !ok) {
        out.refusal = simple_error(ok.error());
        return out;
      }
      out.max_body = max_body_;
    } else {
      out.max_body = 64 << 10;  // read and ignored
    }
    std::size_t next = 0;
    for (std::size_t i = 0; i < path.count; ++i) {
      if (pattern.segments[i] == "{}") out.parameters[next++] = path.segments[i];
    }
    out.route = &route;
    return out;
  }
  out.refusal = allowed.empty()
                    ? simple_error(Error{Code::kNotFound,
                                         "no_such_route",
                                         "there is nothing at this path; predictions are at "
                                         "POST /models/{model}/predict",
                                         {}})
                    : method_not_allowed(allowed);
  return out;
}

void Router::serve(transport::ExchangePtr exchange) {
  const auto* route = static_cast<const Route*>(exchange->admission().route);
  route->serve(exchange);
}

Response Router::refuse(int status, std::string_view reason, std::string_view message) {
  Response out;
  out.status = status;
  codecs::encode_simple_error(Error{Code::kInvalidArgument, reason, std::string(message), {}},
                              out.body);
  return out;
}

int simple_status(const Error& error) {
  static constexpr std::array<std::pair<std::string_view, int>, 6> kByReason = {
      {{"bounds", 422},
       {"guard", 422},
       {"too_large", 413},
       {"unsupported_media", 415},
       {"method_not_allowed", 405},
       {"rate_limited", 429}}};
  static constexpr std::array<int, 17> kByCode = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                                  400, 409, 400, 501, 500, 503, 500, 401};
  for (const auto& [reason, status] : kByReason) {
    if (error.reason == reason) return status;
  }
  return kByCode[static_cast<std::size_t>(error.code)];
}

Response simple_error(const Error& error) {
  Response out;
  out.status = simple_status(error);
  if (out.status == 503) out.headers.emplace_back("Retry-After", "1");
  codecs::encode_simple_error(error, out.body);
  return out;
}

}  // namespace sluice::frontends
