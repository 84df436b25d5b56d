#include "frontends/metrics.h"

#include <fmt/format.h>

#include <functional>
#include <string>

#include "frontends/cost_report.h"
#include "frontends/drift_metrics.h"
#include "frontends/metrics_text.h"
#include "frontends/release_metrics.h"

namespace sluice::frontends {
namespace {

std::string labels_of(const Servable& servable) {
  return fmt::format("model=\"{}\",version=\"{}\"", servable.model().str(),
                     servable.version().str());
}

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// A family with one sample for each version that is served.
template <class Value>
void each_version(MetricsText& text, const ServingTable& table, std::string_view name,
                  std::string_view type, std::string_view help, Value value) {
  text.family(name, type, help);
  for (const auto& [model, entry] : table.models) {
    for (const auto& servable : entry->ready) {
      text.sample(name, labels_of(*servable), value(*servable));
    }
  }
}

void write_counts(MetricsText& text, const ServingTable& table) {
  text.family("sluice_requests_total", "counter", "Requests that were answered, by outcome.");
  for (const auto& [model, entry] : table.models) {
    for (const auto& servable : entry->ready) {
      const auto sums = servable->tally().sums();
      const auto labels = labels_of(*servable);
      text.sample("sluice_requests_total", labels + ",outcome=\"success\"", sums.success.count);
      text.sample("sluice_requests_total", labels + ",outcome=\"failure\"", sums.fail.count);
    }
  }
  text.family("sluice_request_seconds", "summary", "Time of answered requests, by stage.");
  for (const auto& [model, entry] : table.models) {
    for (const auto& servable : entry->ready) {
      const auto sums = servable->tally().sums();
      const auto stage = [&](std::string_view name, const Tally::Duration& time) {
        const auto labels = fmt::format("{},stage=\"{}\"", labels_of(*servable), name);
        text.sample("sluice_request_seconds_sum", labels, seconds(time.ns));
        text.sample("sluice_request_seconds_count", labels, time.count);
      };
      stage("total", sums.success);
      stage("queue", sums.queue);
      stage("compute", sums.infer);
    }
  }
  each_version(text, table, "sluice_executions_total", "counter", "Runs of the engine.",
               [](const Servable& each) { return each.tally().sums().executions; });
  each_version(text, table, "sluice_cache_hits_total", "counter", "Answers from the cache.",
               [](const Servable& each) { return each.tally().sums().cache_hit.count; });
  each_version(text, table, "sluice_cache_misses_total", "counter",
               "Answers that were looked for in the cache and not there.",
               [](const Servable& each) { return each.tally().sums().cache_miss.count; });
  each_version(text, table, "sluice_queue_requests", "gauge", "Requests that wait for the model.",
               [](const Servable& each) { return each.waiting(); });
}

void write_batches(MetricsText& text, const ServingTable& table) {
  text.family("sluice_batch_executions_total", "counter", "Runs of the engine, by rows.");
  for (const auto& [model, entry] : table.models) {
    for (const auto& servable : entry->ready) {
      for (const auto& batch : servable->tally().batches()) {
        text.sample("sluice_batch_executions_total",
                    fmt::format("{},rows=\"{}\"", labels_of(*servable), batch.rows), batch.count);
      }
    }
  }
}

void write_cost(MetricsText& text, const ServingTable& table) {
  text.family("sluice_estimated_cost_saved", "gauge",
              "What batching and the cache have saved, by the prices in model.yaml.");
  for (const auto& [model, entry] : table.models) {
    text.sample("sluice_estimated_cost_saved", fmt::format("model=\"{}\"", model),
                cost_report(*entry).saved);
  }
}

void write_states(MetricsText& text, const ServingTable& table) {
  text.family("sluice_version_ready", "gauge", "1 where the version is served.");
  for (const auto& [model, entry] : table.models) {
    for (const auto& version : entry->versions) {
      text.sample("sluice_version_ready",
                  fmt::format("model=\"{}\",version=\"{}\"", model, version.name.str()),
                  version.state == VersionState::kReady ? 1 : 0);
    }
  }
}

void write_shadows(MetricsText& text, const ServingTable& table,
                   const serving::ShadowRunner& shadows) {
  using serving::ShadowCounts;
  const auto family = [&](std::string_view name, std::string_view help, auto value) {
    text.family(name, "counter", help);
    for (const auto& [model, entry] : table.models) {
      for (const auto& [version, counts] : shadows.counts(*entry)) {
        text.sample(name, fmt::format("model=\"{}\",version=\"{}\"", model, version.str()),
                    value(counts));
      }
    }
  };
  family("sluice_shadow_predictions_total", "Rows that a shadow version was compared on.",
         [](const ShadowCounts& counts) { return counts.predictions; });
  family("sluice_shadow_disagreements_total", "Rows that it answered otherwise.",
         [](const ShadowCounts& counts) { return counts.disagreements; });
  family("sluice_shadow_dropped_total", "Requests that it was not asked, for want of capacity.",
         [](const ShadowCounts& counts) { return counts.dropped(); });
  family("sluice_shadow_errors_total", "Requests that it failed at, or that do not fit it.",
         [](const ShadowCounts& counts) { return counts.errors; });
}

}  // namespace

void add_metrics(Router& router, const Parts& parts) {
  router.serve("GET", "/metrics", [parts](const transport::ExchangePtr& exchange) {
    const auto table = parts.tables.get();
    MetricsText text;
    write_states(text, *table);
    write_counts(text, *table);
    write_batches(text, *table);
    write_cost(text, *table);
    write_shadows(text, *table, parts.shadows);
    write_releases(text, parts.releases);
    write_drift(text, *table, parts.drift);
    transport::Response response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = text.take();
    exchange->respond(std::move(response));
  });
}

}  // namespace sluice::frontends
