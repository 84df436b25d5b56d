#include "frontends/router.h"

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "transport/content_coding.h"

namespace sluice::frontends {

using transport::Admission;
using transport::Coding;
using transport::RequestHead;
using transport::Response;

// What belongs to all paths that begin alike.
struct Router::Api {
  std::string_view prefix;
  ErrorForm error;
  std::size_t min_compressed;  // shorter answers are sent as they are
  bool verbs;                  // a name in a path may have a verb behind a colon
};

namespace {

constexpr std::size_t kIgnoredBody = 64 << 10;
constexpr std::size_t kSettingsBody = 1 << 20;

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

bool is_octets(std::string_view type) {
  return iequals(trim(type.substr(0, type.find(';'))), "application/octet-stream");
}

Failure unsupported(std::string message) {
  return fail(Code::kInvalidArgument, "unsupported_media", std::move(message));
}

Result<void> check_type(const RequestHead& head, BodyKind kind) {
  const auto type = head.find("content-type");
  if (!type || is_json(*type)) return {};
  if (kind == BodyKind::kTensors && is_octets(*type)) return {};
  return unsupported("the body must be JSON: send Content-Type: application/json");
}

std::string_view without_port(std::string_view authority, std::string_view port) {
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

// Whether a browser says that the request comes from a page of another host or port. The scheme may
// differ: a proxy in front may speak TLS.
bool is_foreign(std::string_view origin, std::string_view host) {
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos) return true;  // "null": a page that has no origin
  const std::string_view usual = iequals(origin.substr(0, scheme), "https") ? ":443" : ":80";
  return !iequals(without_port(origin.substr(scheme + 3), usual), without_port(host, usual));
}

// Whoever reaches the management listener may change things; the web pages that his browser shows
// may not, and a browser sends some requests for them without asking.
Result<void> check_origin(const RequestHead& head) {
  if (!head.management || head.method == "GET" || head.method == "HEAD") return {};
  if (head.method == "OPTIONS") return {};
  const auto origin = head.find("origin");
  if (!origin || !is_foreign(*origin, head.find("host").value_or(std::string_view()))) return {};
  return fail(Code::kPermissionDenied, "foreign_origin",
              "the request comes from a web page of another origin ('" + printable(*origin) +
                  "'), which may change nothing here: send it without the header Origin, or from "
                  "a page of the address that its Host header names");
}

Error not_found_error() {
  return Error{Code::kNotFound,
               "no_such_route",
               "there is nothing at this path; predictions are at POST /models/{model}/predict, "
               "/v2/models/{model}/infer and /v1/models/{model}:predict",
               {}};
}

Response method_not_allowed(ErrorForm form, const std::string& allowed) {
  auto response = form(Error{
      Code::kInvalidArgument, "method_not_allowed", "this path answers " + allowed + " only", {}});
  response.headers.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

const Router::Api& Router::api_of(std::string_view path) {
  // Clients of the Open Inference Protocol get what they ask for; elsewhere compressing a few
  // hundred bytes costs more than sending them.
  static constexpr std::array<Api, 3> kApis = {{{"/v2", plain_error, 1, false},
                                                {"/v1", plain_error, 1024, true},
                                                {"", simple_error, 1024, false}}};
  const auto belongs = [&](const Api& api) {
    const auto rest = path.substr(std::min(api.prefix.size(), path.size()));
    const bool ends = rest.empty() || rest.starts_with('/');
    return api.prefix.empty() || (path.starts_with(api.prefix) && ends);
  };
  return *std::ranges::find_if(kApis, belongs);
}

// False when there are more segments than any route has.
bool Router::split_path(std::string_view path, Path& out) {
  path.remove_prefix(1);
  while (true) {
    if (out.count == kMaxSegments) return false;
    const auto end = path.find('/');
    out.segments[out.count++] = path.substr(0, end);
    if (end == std::string_view::npos) return true;
    path.remove_prefix(end + 1);
  }
}

bool Router::matches(const Route& route, const Path& path) {
  for (std::size_t i = 0; i < path.count; ++i) {
    const auto pattern = route.segments[i];
    if (pattern.starts_with("{}")) {
      auto value = path.segments[i];
      if (!value.ends_with(pattern.substr(2))) return false;
      value.remove_suffix(pattern.size() - 2);
      const bool other_verb =
          route.api->verbs && pattern == "{}" && value.find(':') != std::string_view::npos;
      if (value.empty() || other_verb) return false;
    } else if (pattern != path.segments[i]) {
      return false;
    }
  }
  return true;
}

void Router::take_parameters(const Route& route, const Path& path, Admission& out) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < path.count; ++i) {
    const auto pattern = route.segments[i];
    if (!pattern.starts_with("{}")) continue;
    auto value = path.segments[i];
    value.remove_suffix(pattern.size() - 2);
    out.parameters[next++] = value;
  }
}

void Router::serve(std::string_view method, std::string_view path, Handler handler) {
  const Endpoint* endpoint = find_endpoint(method, path);
  if (endpoint == nullptr) std::abort();  // a mistake in this program, seen at its first start
  Route route{endpoint, &api_of(path), split(endpoint->path.substr(1), '/'), std::move(handler)};
  auto& routes = routes_[route.segments.size()];
  // What is written out goes before what stands for anything: /v2/models/stats is no model.
  const auto names = [](const Route& each) { return std::ranges::count(each.endpoint->path, '{'); };
  routes.insert(std::ranges::upper_bound(routes, names(route), {}, names), std::move(route));
}

bool Router::serves(const Endpoint& endpoint) const {
  return std::ranges::any_of(routes_, [&](const auto& routes) {
    return std::ranges::any_of(routes,
                               [&](const Route& route) { return route.endpoint == &endpoint; });
  });
}

Result<void> Router::admit_route(const Route& route, const RequestHead& head,
                                 Admission& out) const {
  SLUICE_CHECK(check_origin(head));
  const Endpoint& endpoint = *route.endpoint;
  if (endpoint.surface == Surface::kModelControl && !options_.model_control) {
    return unavailable("not_enabled",
                       "this call needs the server to be started with --model-control explicit");
  }
  if (const auto accepted = head.find("accept-encoding")) {
    out.answer_coding = transport::accepted_coding(*accepted);
  }
  if (endpoint.body == BodyKind::kNone) {
    out.max_body = kIgnoredBody;
    return {};
  }
  SLUICE_CHECK(check_type(head, endpoint.body));
  if (const auto encoding = head.find("content-encoding")) {
    const auto coding = transport::coding_named(*encoding);
    if (!coding) {
      return unsupported("Content-Encoding '" + printable(*encoding, 32) +
                         "' is not understood here: send gzip, deflate or nothing");
    }
    out.request_coding = *coding;
  }
  out.max_body = endpoint.body == BodyKind::kSettings ? kSettingsBody : options_.max_body;
  return {};
}

// Not there for whoever comes in by a public listener.
bool Router::hidden(const Endpoint& endpoint, const RequestHead& head) const {
  if (head.management) return false;
  return endpoint.surface == Surface::kManagement ||
         (endpoint.surface == Surface::kMetrics && !settings_.read()->public_metrics);
}

Admission Router::admit(const RequestHead& head) {
  Admission out;
  Path path;
  std::string allowed;
  const Route* waiting = nullptr;
  if (split_path(head.path, path)) {
    for (const Route& route : routes_[path.count]) {
      if (hidden(*route.endpoint, head) || !matches(route, path)) continue;
      if (method_fits(route.endpoint->method, head.method)) {
        waiting = &route;
        break;
      }
      if (!allowed.empty()) allowed += ", ";
      allowed += route.endpoint->method == "GET" ? "GET, HEAD" : route.endpoint->method;
    }
  }
  const ErrorForm form = waiting != nullptr ? waiting->api->error : api_of(head.path).error;
  if (waiting == nullptr) {
    out.refusal = allowed.empty() ? form(not_found_error()) : method_not_allowed(form, allowed);
    return out;
  }
  if (auto ok = admit_route(*waiting, head, out); !ok) {
    out.refusal = form(ok.error());
    return out;
  }
  take_parameters(*waiting, path, out);
  out.route = waiting;
  return out;
}

void Router::serve(transport::ExchangePtr exchange) {
  const auto& route = *static_cast<const Route*>(exchange->admission().route);
  const auto& admission = exchange->admission();
  const bool coded =
      admission.request_coding != Coding::kIdentity || admission.answer_coding != Coding::kIdentity;
  if (!coded) return route.handler(exchange);
  auto plain = transport::with_coding(exchange, route.api->min_compressed);
  if (!plain) return exchange->respond(route.api->error(plain.error()));
  route.handler(*plain);
}

Response Router::refuse(std::string_view target, int status, std::string_view reason,
                        std::string_view message) {
  Response out =
      api_of(target).error(Error{Code::kInvalidArgument, reason, std::string(message), {}});
  out.status = status;
  return out;
}

}  // namespace sluice::frontends
