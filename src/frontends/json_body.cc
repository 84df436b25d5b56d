#include "frontends/json_body.h"

#include <set>
#include <vector>

#include "base/text.h"

namespace sluice::frontends {
namespace {

using json = nlohmann::ordered_json;

constexpr int kMostDepth = 32;

}  // namespace

Result<json> read_object(const transport::Exchange& exchange) {
  const auto body = trim(exchange.body());
  if (body.empty()) return json::object();
  std::vector<std::set<std::string>> keys;
  std::string twice;
  bool deep = false;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    deep = deep || depth > kMostDepth;
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.empty() &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return !deep;
  };
  auto out = json::parse(body, watch, /*allow_exceptions=*/false);
  if (deep) return invalid("too_deep", "the body is nested more than 32 levels deep");
  if (out.is_discarded()) return invalid("not_json", "the body is not valid JSON");
  if (!out.is_object()) return invalid("wrong_type", "the body must be a JSON object");
  if (!twice.empty())
    return invalid("duplicate_key", "key '" + printable(twice) + "' is given twice");
  return out;
}

}  // namespace sluice::frontends
