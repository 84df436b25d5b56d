#include "frontends/management.h"

#include <nlohmann/json.hpp>

#include "base/json_writer.h"
#include "frontends/cost_report.h"
#include "release/releases.h"

namespace sluice::frontends {
namespace {

std::string_view word(VersionState state) {
  switch (state) {
    case VersionState::kLoading: return "loading";
    case VersionState::kReady: return "ready";
    case VersionState::kFailed: return "failed";
    case VersionState::kUnloaded: return "unloaded";
  }
  return "unknown";
}

// The version's share of the traffic, by its release or as the newest.
double traffic_of(const ModelEntry& entry, const VersionEntry& version,
                  const nlohmann::ordered_json* release) {
  if (release != nullptr) {
    const auto& weights = (*release)["weights"];
    const auto found = weights.find(version.name.str());
    return found == weights.end() ? 0 : found->get<double>();
  }
  if (entry.policy == nullptr || version.servable == nullptr) return 0;
  return entry.ready[entry.policy->usual()] == version.servable ? 1 : 0;
}

void list_models(const Parts& parts, const transport::ExchangePtr& exchange) {
  parts.watch.finishing.settle();
  const auto table = parts.tables.get();
  const auto releases = parts.releases.latest();
  transport::Response response;
  JsonWriter json(response.body);
  json.begin_object().key("models").begin_array();
  for (const auto& [name, entry] : table->models) {
    json.begin_object().field("name", std::string_view(name));
    if (!entry->reason.empty()) json.field("reason", std::string_view(entry->reason));
    const auto running = releases->find(name);
    const auto* release = running == releases->end() ? nullptr : &running->second;
    if (release != nullptr) {
      json.field("release", std::string_view((*release)["policy"].get_ref<const std::string&>()));
      json.field("release_state",
                 std::string_view((*release)["state"].get_ref<const std::string&>()));
    }
    json.key("versions").begin_array();
    for (const auto& version : entry->versions) {
      json.begin_object().field("version", std::string_view(version.name.str()));
      json.field("state", word(version.state));
      if (!version.reason.empty()) json.field("reason", std::string_view(version.reason));
      json.field("traffic", traffic_of(*entry, version, release));
      if (version.servable) {
        const auto minute = parts.watch.rates.of(*version.servable);
        json.field("rate", minute.rate());
        json.field("p95_ms", minute.latencies.quantile(0.95) / 1e6);
        json.field("errors", minute.failed);
      }
      json.end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  exchange->respond(std::move(response));
}

void write_cost(const CostReport& report, JsonWriter& json) {
  json.field("total_requests", report.requests).field("cache_hit_rate", report.hit_rate());
  json.field("cache_hits", report.hits).field("cache_misses", report.misses);
  json.field("batches_processed", report.executions);
  json.field("avg_batch_size", report.average_batch());
  json.field("estimated_cost_saved", report.saved);
}

void tell_cost(const Parts& parts, const transport::ExchangePtr& exchange) {
  parts.watch.finishing.settle();
  const auto table = parts.tables.get();
  CostReport all;
  for (const auto& [name, entry] : table->models) all += cost_report(*entry);
  transport::Response response;
  JsonWriter json(response.body);
  json.begin_object();
  write_cost(all, json);
  json.key("models").begin_object();
  for (const auto& [name, entry] : table->models) {
    json.key(name).begin_object();
    write_cost(cost_report(*entry), json);
    json.end_object();
  }
  json.end_object().end_object();
  exchange->respond(std::move(response));
}

}  // namespace

void add_management(Router& router, const Parts& parts) {
  router.serve("GET", "/api/models",
               [parts](const transport::ExchangePtr& exchange) { list_models(parts, exchange); });
  router.serve("GET", "/api/cost",
               [parts](const transport::ExchangePtr& exchange) { tell_cost(parts, exchange); });
}

}  // namespace sluice::frontends
