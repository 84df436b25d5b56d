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
    request.request_id = *id;
  }
  if (const auto user = head.find("x-user-id"); user && user->size() <= kMaxId) {
    request.user_id = *user;
  }
  return {};
}

}  // namespace sluice::frontends
