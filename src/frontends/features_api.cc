#include "frontends/features_api.h"

#include <string>

#include "base/json_writer.h"
#include "clients/http.h"
#include "features/features.h"
#include "features/named_json.h"
#include "frontends/http_errors.h"

namespace sluice::frontends {
namespace {

void look(features::Features& all, const transport::ExchangePtr& exchange) {
  const auto& names = exchange->admission().parameters;
  const auto fetcher = all.find(clients::percent_decode(names[0]));
  if (!fetcher) return exchange->respond(simple_error(fetcher.error()));
  std::string entity = clients::percent_decode(names[1]);
  all.look(**fetcher, entity, [exchange, store = (*fetcher)->name(), entity](auto found) {
    if (!found) return exchange->respond(simple_error(found.error()));
    transport::Response response;
    response.body = features::named_json(store, entity, *found);
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
