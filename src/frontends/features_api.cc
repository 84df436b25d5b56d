#include "frontends/features_api.h"

#include <string>

#include "base/json_writer.h"
#include "base/time_text.h"
#include "clients/http.h"
#include "features/features.h"
#include "frontends/http_errors.h"

namespace sluice::frontends {
namespace {

struct WriteData {
  JsonWriter& json;

  void operator()(Null) const { json.null(); }
  void operator()(Absent) const { json.null(); }
  void operator()(const Unreadable&) const { json.null(); }
  void operator()(bool value) const { json.value(value); }
  void operator()(std::int64_t value) const { json.value(value); }
  void operator()(double value) const {
    // As short as it was stored by those who store floats.
    const auto single = static_cast<float>(value);
    if (static_cast<double>(single) == value) {
      json.value(single);
    } else {
      json.value(value);
    }
  }
  void operator()(const std::string& value) const { json.value(std::string_view(value)); }
  template <class T>
  void operator()(const std::vector<T>& list) const {
    json.begin_array();
    for (const auto& each : list) (*this)(each);
    json.end_array();
  }
};

std::string tell(std::string_view store, std::string_view entity, const NamedFeatures& found) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("store", store).field("entity", entity);
  json.key("features").begin_object();
  for (const auto& [name, value] : found) {
    json.key(name);
    std::visit(WriteData{json}, value.data);
  }
  json.end_object().key("feature_times").begin_object();
  for (const auto& [name, value] : found) {
    if (value.time_ns == 0) continue;
    std::string time;
    append_time(value.time_ns, time);
    json.field(name, std::string_view(time));
  }
  json.end_object();
  // A value that is there and no use to a model.
  json.key("problems").begin_object();
  for (const auto& [name, value] : found) {
    if (const auto* bad = std::get_if<Unreadable>(&value.data)) json.field(name, bad->why);
  }
  json.end_object().end_object();
  return out;
}

void look(features::Features& all, const transport::ExchangePtr& exchange) {
  const auto& names = exchange->admission().parameters;
  const auto fetcher = all.find(clients::percent_decode(names[0]));
  if (!fetcher) return exchange->respond(simple_error(fetcher.error()));
  std::string entity = clients::percent_decode(names[1]);
  all.look(**fetcher, entity, [exchange, store = (*fetcher)->name(), entity](auto found) {
    if (!found) return exchange->respond(simple_error(found.error()));
    transport::Response response;
    response.body = tell(store, entity, *found);
    exchange->respond(std::move(response));
  });
}

void list(const features::Features& all, const transport::ExchangePtr& exchange) {
  transport::Response response;
  JsonWriter json(response.body);
  json.begin_object().key("stores").begin_array();
  for (const auto& each : all.all()) {
    const auto counts = each->counts();
    json.begin_object().field("store", std::string_view(each->name()));
    json.field("available", !counts.open);
    const auto looked = counts.hits + counts.misses;
    json.field("cache_hit_rate",
               looked == 0 ? 0.0 : static_cast<double>(counts.hits) / static_cast<double>(looked));
    json.field("cached_entities", counts.cached_entries);
    json.field("cached_bytes", counts.cached_bytes);
    json.field("fetched_entities", counts.entities).field("round_trips", counts.fetches);
    json.field("failures", counts.failures);
    json.field("round_trip_p95_ms", counts.seconds.quantile(0.95) / 1e6).end_object();
  }
  json.end_array().end_object();
  exchange->respond(std::move(response));
}

}  // namespace

void add_features_api(Router& router, const Parts& parts) {
  features::Features& all = parts.features;
  router.serve("GET", "/api/features",
               [&all](const transport::ExchangePtr& exchange) { list(all, exchange); });
  router.serve("GET", "/api/features/{}/{}",
               [&all](const transport::ExchangePtr& exchange) { look(all, exchange); });
}

}  // namespace sluice::frontends
