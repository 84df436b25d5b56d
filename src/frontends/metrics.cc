#include "frontends/metrics.h"

#include <fmt/format.h>

#include <string>

#include "base/process_usage.h"
#include "frontends/cost_report.h"
#include "frontends/drift_metrics.h"
#include "frontends/feature_metrics.h"
#include "frontends/release_metrics.h"
#include "frontends/version_metrics.h"
#include "telemetry/exposition.h"

namespace sluice::frontends {
namespace {

void write_cost(Exposition& text, const ServingTable& table) {
  text.family("sluice_estimated_cost_saved", "gauge",
              "What batching and the cache have saved, by the prices in model.yaml.");
  for (const auto& [model, entry] : table.models) {
    text.sample("sluice_estimated_cost_saved", fmt::format("model=\"{}\"", model),
                cost_report(*entry).saved);
  }
}

void write_shadows(Exposition& text, const ServingTable& table,
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

// What reached no model: by whatever name it asked, there is none, or it is not there.
void write_unserved(Exposition& text, const observers::EndCounts& unserved) {
  text.family("sluice_unserved_requests_total", "counter",
              "Predictions that no version was found for, by protocol and outcome.");
  const auto ends = unserved.sums();
  for (std::size_t protocol = 1; protocol < kProtocols; ++protocol) {
    for (std::size_t ending = 0; ending < kEndings; ++ending) {
      if (ends[protocol][ending] == 0) continue;
      text.sample(
          "sluice_unserved_requests_total",
          fmt::format("protocol=\"{}\",outcome=\"{}\"", word_of(static_cast<Protocol>(protocol)),
                      word_of(static_cast<Ending>(ending))),
          ends[protocol][ending]);
    }
  }
}

void write_process(Exposition& text) {
  const auto usage = process_usage();
  const auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                       auto value) {
    text.family(name, type, help);
    text.sample(name, "", value);
  };
  one("process_cpu_seconds_total", "counter", "Processor time of this process.", usage.cpu_seconds);
  one("process_resident_memory_bytes", "gauge", "Memory that is there.", usage.resident_bytes);
  one("process_virtual_memory_bytes", "gauge", "Addresses that are taken.", usage.virtual_bytes);
  one("process_start_time_seconds", "gauge", "When it began, since 1970.", usage.started);
  one("process_open_fds", "gauge", "Open files and sockets.", usage.open_files);
  one("process_max_fds", "gauge", "Most of them.", usage.most_open_files);
  one("process_threads", "gauge", "Threads.", usage.threads);
  text.family("sluice_build_info", "gauge", "1; the version of this server.");
  text.sample("sluice_build_info", "version=\"" SLUICE_VERSION "\"", 1);
}

void write_tap(Exposition& text, const observers::Tap& tap) {
  text.family("sluice_records_dropped_total", "counter",
              "Records of requests for drift, recent requests or the log that found no room.");
  text.sample("sluice_records_dropped_total", "", tap.dropped());
}

void write_log(Exposition& text, const observers::PredictionLog& log) {
  const auto counts = log.counts();
  text.family("sluice_prediction_log_lines_total", "counter",
              "Predictions that were written down, or were to be.");
  text.sample("sluice_prediction_log_lines_total", "outcome=\"written\"", counts.written);
  text.sample("sluice_prediction_log_lines_total", "outcome=\"dropped\"", counts.dropped);
  text.family("sluice_prediction_log_bytes_total", "counter", "Bytes that were written.");
  text.sample("sluice_prediction_log_bytes_total", "", counts.bytes);
  text.family("sluice_prediction_log_rotations_total", "counter", "Files that were finished.");
  text.sample("sluice_prediction_log_rotations_total", "", counts.rotations);
}

void write_spans(Exposition& text, const observers::SpanCounts& counts) {
  text.family("sluice_spans_total", "counter", "Spans of traces, by what became of them.");
  text.sample("sluice_spans_total", "outcome=\"exported\"", counts.exported);
  text.sample("sluice_spans_total", "outcome=\"dropped\"", counts.dropped);
  text.sample("sluice_spans_total", "outcome=\"failed\"", counts.failed);
  text.sample("sluice_spans_total", "outcome=\"rejected\"", counts.rejected);
}

// The media type that a scraper prefers decides (RFC 9110, section 12.5.1, as far as it matters
// here: Prometheus names OpenMetrics where it can read it).
bool wants_open_metrics(const transport::RequestHead& head) {
  const auto accept = head.find("accept");
  return accept && accept->find("application/openmetrics-text") != std::string_view::npos;
}

}  // namespace

void add_metrics(Router& router, const Parts& parts) {
  router.serve("GET", "/metrics", [parts](const transport::ExchangePtr& exchange) {
    parts.watch.finishing.settle();
    const auto table = parts.tables.get();
    const bool open = wants_open_metrics(exchange->head());
    Exposition text(open ? Exposition::Format::kOpenMetrics : Exposition::Format::kText);
    write_version_metrics(text, *table);
    write_unserved(text, parts.watch.unserved);
    write_cost(text, *table);
    write_shadows(text, *table, parts.shadows);
    write_releases(text, parts.releases);
    write_drift(text, *table, parts.watch.drift);
    write_features(text, parts.features);
    write_tap(text, parts.watch.tap);
    if (parts.watch.log) write_log(text, *parts.watch.log);
    if (parts.watch.tracer.on()) write_spans(text, parts.watch.tracer.counts());
    write_process(text);
    if (parts.settings.read()->triton_names) write_triton_metrics(text, *table);
    transport::Response response;
    response.content_type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                 : "text/plain; version=0.0.4; charset=utf-8";
    response.body = text.take();
    exchange->respond(std::move(response));
  });
}

}  // namespace sluice::frontends
