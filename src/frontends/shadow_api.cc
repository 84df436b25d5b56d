#include "frontends/shadow_api.h"

#include <cmath>

#include "base/json_writer.h"
#include "base/text.h"
#include "frontends/model_page.h"

namespace sluice::frontends {
namespace {

using serving::Disagreement;
using serving::ShadowReport;
using serving::ShadowStatus;

std::int64_t unix_ms(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

// What the contract promises at the top. What is not known yet is null.
void write_summary(const ShadowStatus& status, JsonWriter& json) {
  const ShadowReport& report = status.report;
  json.field("num_predictions", report.rows);
  json.field("mean_difference", report.mean_difference);
  json.field("max_difference", report.max_difference);
  json.field("agreement_rate", report.agreement_rate());
  json.field("dropped", status.counts.dropped()).field("errors", status.counts.errors);
  json.field("latency_p95_ratio", report.latency_p95_ratio());
}

void write_counts(const serving::ShadowCounts& counts, JsonWriter& json) {
  json.key("dropped_by").begin_object();
  json.field("full", counts.full).field("late", counts.late).field("large", counts.large);
  json.field("down", counts.down).end_object();
  json.field("skipped", counts.skipped).field("waiting", counts.waiting);
}

std::string_view name_of(HostStatus::State state) {
  switch (state) {
    case HostStatus::State::kNone: return "none";
    case HostStatus::State::kWaiting: return "waiting";
    case HostStatus::State::kStarting: return "starting";
    case HostStatus::State::kRunning: return "running";
    case HostStatus::State::kGivenUp: return "given_up";
    case HostStatus::State::kStopped: return "stopped";
  }
  return "none";
}

void write_process(const HostStatus& host, JsonWriter& json) {
  json.key("process").begin_object().field("state", name_of(host.state));
  json.field("ended", host.ended).key("last_end");
  if (host.last_end.empty()) {
    json.null();
  } else {
    json.value(std::string_view(host.last_end));
  }
  json.end_object();
}

void write_differences(const ShadowReport& report, JsonWriter& json) {
  json.field("not_finite", report.not_finite);
  json.key("difference_quantiles").begin_object();
  json.field("p50", report.quantiles[0]).field("p95", report.quantiles[1]);
  json.field("p99", report.quantiles[2]).end_object();
  json.key("kolmogorov_smirnov").begin_object();
  json.field("rows", report.tested).field("distance", report.ks_distance);
  json.field("p_value", report.ks_p_value).end_object();
  if (report.probability_rows == 0) return;
  json.key("probability_difference").begin_object();
  json.field("mean", report.mean_probability_difference);
  json.field("max", report.max_probability_difference).end_object();
}

// Rows of the users' version, columns of the shadow, by class.
void write_confusion(const ShadowReport& report, JsonWriter& json) {
  if (report.confusion.empty()) return;
  json.key("confusion").begin_object();
  const std::string* row = nullptr;
  for (const auto& [classes, count] : report.confusion) {
    if (row == nullptr || *row != classes.first) {
      if (row != nullptr) json.end_object();
      row = &classes.first;
      json.key(*row).begin_object();
    }
    json.field(classes.second, count);
  }
  json.end_object().end_object();
}

void write_latency(const ShadowReport& report, JsonWriter& json) {
  json.key("latency").begin_object().field("requests", report.timed);
  const auto quantiles = [&](std::string_view name, const std::array<double, 2>& millis) {
    json.key(name).begin_object();
    json.field("p50_ms", millis[0]).field("p95_ms", millis[1]).end_object();
  };
  quantiles("primary", report.primary_ms);
  quantiles("shadow", report.shadow_ms);
  json.end_object();
}

void write_worst(const Disagreement& one, JsonWriter& json) {
  json.begin_object();
  json.field("difference", one.difference);  // null: one of the two is no number
  json.field("primary", std::string_view(one.primary));
  json.field("shadow", std::string_view(one.shadow));
  json.field("request_id", std::string_view(one.request_id)).field("row", one.row);
  json.field("at_ms", unix_ms(one.at)).key("inputs").raw(one.inputs);
  json.field("inputs_cut", one.cut).end_object();
}

void write_version(const ShadowStatus& status, JsonWriter& json) {
  json.begin_object();
  write_summary(status, json);
  write_counts(status.counts, json);
  write_process(status.host, json);
  write_differences(status.report, json);
  write_confusion(status.report, json);
  write_latency(status.report, json);
  json.key("worst").begin_array();
  for (const auto& one : status.report.worst) write_worst(one, json);
  json.end_array().end_object();
}

Result<std::string> tell(const Parts& parts, const ModelEntry& entry) {
  parts.watch.finishing.settle();
  const auto shadows = parts.shadows.status(entry);
  if (shadows.empty()) {
    return not_found("no_shadow", "model '" + entry.name.str() +
                                      "' has no shadow version that is loaded; name one with "
                                      "shadow: [VERSION] in its release");
  }
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("model", std::string_view(entry.name.str()));
  write_summary(shadows.front(), json);
  json.key("versions").begin_object();
  for (const auto& status : shadows) {
    json.key(status.version.str());
    write_version(status, json);
  }
  json.end_object().end_object();
  return out;
}

}  // namespace

void add_shadow_api(Router& router, const Parts& parts) {
  serve_model_page(
      router, parts, "/api/models/{}/shadow",
      [parts](const ModelEntry& entry, std::string_view) { return tell(parts, entry); });
}

}  // namespace sluice::frontends
