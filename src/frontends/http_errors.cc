#include "frontends/http_errors.h"

#include <array>
#include <string_view>
#include <utility>

#include "base/json_writer.h"
#include "codecs/simple_json.h"

namespace sluice::frontends {
namespace {

transport::Response without_body(const Error& error) {
  transport::Response out;
  out.status = http_status(error);
  // Waiting does not help where something is switched off.
  if (out.status == 503 && error.reason != "not_enabled") {
    out.headers.emplace_back("Retry-After", "1");
  }
  return out;
}

}  // namespace

int http_status(const Error& error) {
  static constexpr std::array<std::pair<std::string_view, int>, 8> kByReason = {
      {{"bounds", 422},
       {"guard", 422},
       {"stale_feature", 422},
       {"too_large", 413},
       {"expired", 410},
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

transport::Response simple_error(const Error& error) {
  auto out = without_body(error);
  codecs::encode_simple_error(error, out.body);
  return out;
}

transport::Response plain_error(const Error& error) {
  auto out = without_body(error);
  JsonWriter json(out.body);
  json.begin_object().field("error", std::string_view(error.message)).end_object();
  return out;
}

}  // namespace sluice::frontends
