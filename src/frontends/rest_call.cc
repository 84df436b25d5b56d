#include "frontends/rest_call.h"

#include "base/text.h"

namespace sluice::frontends {
namespace {

constexpr std::size_t kMaxId = 128;

Result<TimePoint> read_deadline(const transport::RequestHead& head, TimePoint arrived) {
  const auto text = head.find("x-request-timeout-ms");
  if (!text) return TimePoint::max();
  const auto millis = parse_uint(trim(*text));
  constexpr std::uint64_t kLongest = 86'400'000;
  if (!millis || *millis > kLongest) {
    return invalid("bad_timeout",
                   "X-Request-Timeout-Ms must be a whole number of milliseconds, at most a day");
  }
  return arrived + std::chrono::milliseconds(static_cast<std::int64_t>(*millis));
}

}  // namespace

Result<void> check_name(std::string_view name, std::string_view what) {
  if (name.empty() || is_token(name)) return {};
  return invalid("invalid_name", std::string(what) +
                                     " name is not valid: use up to 128 letters, digits, '.', "
                                     "'_' or '-', beginning with a letter or digit");
}

Result<void> begin_rest(transport::Exchange& exchange, Request& request) {
  const auto& head = exchange.head();
  request.turn = &exchange.turn();
  const auto& names = exchange.admission().parameters;
  SLUICE_CHECK(check_name(names[0], "model"));
  SLUICE_CHECK(check_name(names[1], "version"));
  SLUICE_TRY(request.deadline, read_deadline(head, request.arrived));
  if (const auto id = head.find("x-request-id"); id && id->size() <= kMaxId) {
    request.request_id = request.arena.copy(*id);  // who looks back at it does so without the head
  }
  return read_user(head, request);
}

Result<void> read_user(const transport::RequestHead& head, Request& request) {
  const auto user = head.find("x-user-id");
  return user ? set_user(request, request.arena.copy(*user)) : Result<void>();
}

Result<std::string_view> asked_version(const transport::RequestHead& head, std::string_view named,
                                       const Settings& settings) {
  const auto header = head.find("x-sluice-version");
  if (!header) return named;
  if (!settings.version_header) {
    return fail(Code::kPermissionDenied, "version_header",
                "X-Sluice-Version is not allowed here (version_header: false)");
  }
  const auto version = trim(*header);
  if (version.empty()) return invalid("invalid_name", "X-Sluice-Version names no version");
  SLUICE_CHECK(check_name(version, "version"));
  if (!named.empty() && named != version) {
    return invalid("two_versions", "the request names one version and X-Sluice-Version another");
  }
  return version;
}

void read_trace(const transport::RequestHead& head, const observers::Tracer& tracer,
                Request& request) {
  std::string_view parent;
  std::size_t parents = 0;
  std::string state;
  for (const auto& [name, value] : head.headers) {
    if (iequals(name, "traceparent")) {
      parent = value;
      ++parents;
    } else if (iequals(name, "tracestate")) {
      // A list may come in pieces (RFC 9110, section 5.3).
      if (!state.empty()) state += ',';
      state += value;
    }
  }
  // Of two parents neither can be believed.
  tracer.begin(request, parents == 1 ? parent : std::string_view(), state);
}

}  // namespace sluice::frontends
