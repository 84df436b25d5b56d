#include "frontends/drift_metrics.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "base/text.h"

namespace sluice::frontends {
namespace {

using observers::DriftOf;
using observers::DriftOfVersion;

constexpr std::size_t kMostFeatures = 64;
constexpr std::size_t kMostBytes = 64;

struct Series {
  std::string labels;
  const DriftOf* of;
};

struct Version {
  std::string labels;
  DriftOfVersion told;
  std::vector<Series> series;  // those that are compared
  std::size_t left_out = 0;
};

void add_series(Version& version) {
  std::set<std::string> used;
  const auto add = [&](const std::string& label, const DriftOf& of) {
    if (of.reference == observers::DriftReference::kNone || of.drift.rows == 0) return;
    version.series.push_back({version.labels + ",feature=\"" + label + "\"", &of});
  };
  const auto& features = version.told.features;
  const std::size_t shown = std::min(features.size(), kMostFeatures);
  version.left_out = features.size() - shown;
  for (std::size_t i = 0; i < shown; ++i) {
    auto label = label_value(features[i].name);
    // Long names may be cut to the same one.
    if (used.contains(label)) label = label_value(std::to_string(i) + " " + features[i].name);
    if (used.insert(label).second) add(label, features[i]);
  }
  if (!version.told.prediction) return;
  add(used.contains("prediction") ? "prediction (answer)" : "prediction", *version.told.prediction);
}

std::vector<Version> versions_of(const ServingTable& table, const observers::DriftWatch& drift) {
  std::vector<Version> out;
  for (const auto& [model, entry] : table.models) {
    for (auto& told : drift.report(*entry)) {
      Version version;
      version.labels = fmt::format("model=\"{}\",version=\"{}\"", model, told.version);
      version.told = std::move(told);
      out.push_back(std::move(version));
    }
  }
  // Once nothing moves any more: series point into them.
  for (auto& version : out) add_series(version);
  return out;
}

template <class Value>
void write_features(Exposition& text, const std::vector<Version>& versions, std::string_view name,
                    std::string_view help, Value value) {
  text.family(name, "gauge", help);
  for (const auto& version : versions) {
    for (const auto& series : version.series) {
      const std::optional<double> number = value(series.of->drift);
      if (number && std::isfinite(*number)) text.sample(name, series.labels, *number);
    }
  }
}

template <class Value>
void write_versions(Exposition& text, const std::vector<Version>& versions, std::string_view name,
                    std::string_view help, Value value) {
  text.family(name, "gauge", help);
  for (const auto& version : versions) text.sample(name, version.labels, value(version));
}

}  // namespace

std::string label_value(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text));
    if (out.size() + length > kMostBytes) break;
    const char first = text.front();
    if (utf8_length(text) == 0) {
      out += '?';
    } else if (first == '"' || first == '\\') {
      out += '\\';
      out += first;
    } else if (static_cast<unsigned char>(first) < 0x20) {
      out += ' ';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

void write_drift(Exposition& text, const ServingTable& table, const observers::DriftWatch& drift) {
  using statistics::Drift;
  const auto versions = versions_of(table, drift);
  write_features(text, versions, "sluice_drift_psi",
                 "Population stability index against the reference, over the window.",
                 [](const Drift& each) { return std::optional(each.psi); });
  write_features(text, versions, "sluice_drift_ks",
                 "Kolmogorov-Smirnov distance from the reference, over the window.",
                 [](const Drift& each) { return each.ks; });
  write_versions(text, versions, "sluice_drift_rows", "Rows in the window.",
                 [](const Version& each) { return each.told.rows; });
  write_versions(text, versions, "sluice_drift_detected",
                 "1 where a feature or the prediction has drifted.",
                 [](const Version& each) { return each.told.drifted() > 0 ? 1 : 0; });
  write_versions(text, versions, "sluice_drift_features_left_out",
                 "Features that are watched and have no series, beyond the first 64.",
                 [](const Version& each) { return each.left_out; });
}

}  // namespace sluice::frontends
