#include "frontends/release_metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "release/releases.h"

namespace sluice::frontends {
namespace {

using json = nlohmann::ordered_json;
using Latest = std::map<std::string, json>;

// One sample for each arm of each release: the number at `key` of the arm.
void each_arm(Exposition& text, const Latest& latest, std::string_view name, std::string_view type,
              std::string_view help, const char* key, double unit = 1) {
  text.family(name, type, help);
  for (const auto& [model, status] : latest) {
    for (const auto& [version, arm] : status["arms"].items()) {
      text.sample(name, fmt::format("model=\"{}\",version=\"{}\"", model, version),
                  arm[key].get<double>() * unit);
    }
  }
}

void write_shares(Exposition& text, const Latest& latest) {
  text.family("sluice_release_share", "gauge", "The arm's share of the traffic.");
  for (const auto& [model, status] : latest) {
    for (const auto& [version, share] : status["weights"].items()) {
      text.sample("sluice_release_share",
                  fmt::format("model=\"{}\",version=\"{}\"", model, version), share.get<double>());
    }
  }
}

void write_states(Exposition& text, const Latest& latest) {
  text.family("sluice_release_state", "gauge", "1 for the state that the release is in.");
  for (const auto& [model, status] : latest) {
    text.sample(
        "sluice_release_state",
        fmt::format("model=\"{}\",policy=\"{}\",state=\"{}\"", model,
                    status["policy"].get<std::string>(), status["state"].get<std::string>()),
        1);
  }
  text.family("sluice_release_decisions_total", "counter", "Decisions since the server began.");
  for (const auto& [model, status] : latest) {
    for (const auto& [word, count] : status["decisions"].items()) {
      text.sample("sluice_release_decisions_total",
                  fmt::format("model=\"{}\",decision=\"{}\"", model, word),
                  count.get<std::uint64_t>());
    }
  }
  text.family("sluice_release_sample_ratio_alarm", "gauge",
              "1 where arms do not get the share of users that they should.");
  for (const auto& [model, status] : latest) {
    text.sample("sluice_release_sample_ratio_alarm", fmt::format("model=\"{}\"", model),
                status["sample_ratio"]["alarm"].get<bool>() ? 1 : 0);
  }
}

// Evidence against a canary, as the natural logarithm of E; it is taken back at `limit`.
void write_evidence(Exposition& text, const Latest& latest) {
  using Value = double (*)(const json&);
  const auto family = [&](std::string_view name, std::string_view help, Value value) {
    text.family(name, "gauge", help);
    for (const auto& [model, status] : latest) {
      const auto metrics = status["summary"].find("metrics");
      if (metrics == status["summary"].end()) continue;
      for (const auto& metric : *metrics) {
        if (!metric.contains("log_e")) continue;
        text.sample(
            name,
            fmt::format("model=\"{}\",metric=\"{}\"", model, metric["metric"].get<std::string>()),
            value(metric));
      }
    }
  };
  family("sluice_release_log_evidence", "Evidence against the canary: ln E.",
         [](const json& metric) { return metric["log_e"].get<double>(); });
  family("sluice_release_log_evidence_limit", "At which it is taken back: ln of the limit.",
         [](const json& metric) { return std::log(metric["limit"].get<double>()); });
}

void write_fleet(Exposition& text, const release::FleetLink::View& view) {
  text.family("sluice_fleet_connected", "gauge",
              "Whether the state that replicas share can be reached.");
  text.sample("sluice_fleet_connected", "", view.connected ? 1.0 : 0.0);
  text.family("sluice_fleet_leads", "gauge", "Whether this replica decides for all.");
  text.sample("sluice_fleet_leads", "", view.leads ? 1.0 : 0.0);
  text.family("sluice_fleet_replicas", "gauge",
              "Replicas that the one which decides has heard of lately; of others 0.");
  text.sample("sluice_fleet_replicas", "", static_cast<std::uint64_t>(view.replicas));
  text.family("sluice_fleet_waiting", "gauge",
              "Ended requests of which the shared state has not heard yet.");
  text.sample("sluice_fleet_waiting", "", view.waiting);
  text.family("sluice_fleet_given_up_total", "counter",
              "Ended requests that it will never hear of, for want of room while it was away.");
  text.sample("sluice_fleet_given_up_total", "", view.given_up);
}

}  // namespace

void write_releases(Exposition& text, const release::Releases& releases) {
  if (const auto view = releases.fleet()) write_fleet(text, *view);
  const auto latest = releases.latest();
  if (latest->empty()) return;
  text.family("sluice_release_evidence_dropped_total", "counter",
              "Ended requests that no release learned from, for want of room.");
  text.sample("sluice_release_evidence_dropped_total", "", releases.dropped());
  write_states(text, *latest);
  write_shares(text, *latest);
  each_arm(text, *latest, "sluice_release_requests_total", "counter",
           "Requests of the arm that were answered or failed.", "requests");
  each_arm(text, *latest, "sluice_release_errors_total", "counter", "Those that failed.", "errors");
  each_arm(text, *latest, "sluice_release_p95_seconds", "gauge", "The arm's 95th percentile.",
           "p95", 1e-3);
  write_evidence(text, *latest);
}

}  // namespace sluice::frontends
