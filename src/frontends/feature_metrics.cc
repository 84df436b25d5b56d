#include "frontends/feature_metrics.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "frontends/metric_ladder.h"

namespace sluice::frontends {
namespace {

struct Told {
  std::string labels;
  features::FetchCounts counts;
};

template <class Value>
void each_store(Exposition& out, const std::vector<Told>& stores, std::string_view name,
                std::string_view type, std::string_view help, Value value) {
  out.family(name, type, help);
  for (const auto& [labels, counts] : stores) out.sample(name, labels, value(counts));
}

void write_cache(Exposition& out, const std::vector<Told>& stores) {
  out.family("sluice_feature_cache_total", "counter",
             "Entities that were looked for in the cache: there, there as unknown, or not there.");
  for (const auto& [labels, counts] : stores) {
    const auto sample = [&, &labels = labels](std::string_view outcome, std::uint64_t value) {
      out.sample("sluice_feature_cache_total", fmt::format("{},outcome=\"{}\"", labels, outcome),
                 value);
    };
    sample("hit", counts.hits - counts.unknown);
    sample("unknown", counts.unknown);
    sample("miss", counts.misses);
  }
  each_store(out, stores, "sluice_feature_cache_entries", "gauge", "Entities in the cache.",
             [](const auto& counts) { return counts.cached_entries; });
  each_store(out, stores, "sluice_feature_cache_bytes", "gauge", "Memory of the cache.",
             [](const auto& counts) { return counts.cached_bytes; });
}

void write_calls(Exposition& out, const std::vector<Told>& stores) {
  each_store(out, stores, "sluice_feature_fetched_entities_total", "counter",
             "Entities that the store was asked for.",
             [](const auto& counts) { return counts.entities; });
  each_store(out, stores, "sluice_feature_fetches_joined_total", "counter",
             "Entities that were under way for another request already.",
             [](const auto& counts) { return counts.joined; });
  each_store(out, stores, "sluice_feature_fetch_failures_total", "counter",
             "Round trips that failed.", [](const auto& counts) { return counts.failures; });
  out.family("sluice_feature_fetch_seconds", "histogram", "Time of round trips to the store.");
  for (const auto& [labels, counts] : stores) {
    for (const double step : coarse_ladder()) {
      out.sample("sluice_feature_fetch_seconds_bucket", fmt::format("{},le=\"{}\"", labels, step),
                 counts.seconds.at_most(step * 1e9));
    }
    out.sample("sluice_feature_fetch_seconds_bucket", labels + ",le=\"+Inf\"",
               counts.seconds.count());
    out.sample("sluice_feature_fetch_seconds_sum", labels,
               static_cast<double>(counts.total_ns) / 1e9);
    out.sample("sluice_feature_fetch_seconds_count", labels, counts.seconds.count());
  }
}

}  // namespace

void write_features(Exposition& out, const features::Features& features) {
  std::vector<Told> stores;
  for (const auto& each : features.all()) {
    stores.push_back({fmt::format("store=\"{}\"", each->name()), each->counts()});
  }
  write_cache(out, stores);
  write_calls(out, stores);
  out.family("sluice_feature_requests_unserved_total", "counter",
             "Requests whose features did not come in time, or were not asked for.");
  for (const auto& [labels, counts] : stores) {
    out.sample("sluice_feature_requests_unserved_total", labels + ",reason=\"late\"", counts.late);
    out.sample("sluice_feature_requests_unserved_total", labels + ",reason=\"refused\"",
               counts.refused);
  }
  each_store(out, stores, "sluice_feature_store_open", "gauge",
             "1: the store fails and is left alone for a while.",
             [](const auto& counts) { return counts.open ? 1 : 0; });
  each_store(out, stores, "sluice_feature_store_openings_total", "counter", "How often that began.",
             [](const auto& counts) { return counts.openings; });
  each_store(out, stores, "sluice_feature_waiting", "gauge", "Entities that wait to be asked for.",
             [](const auto& counts) { return counts.waiting; });
}

}  // namespace sluice::frontends
