#include "frontends/drift_api.h"

#include "base/json_writer.h"
#include "base/text.h"
#include "frontends/drift_words.h"
#include "frontends/model_page.h"
#include "observers/drift.h"

namespace sluice::frontends {
namespace {

using observers::DriftOf;
using observers::DriftOfVersion;

void optional_field(JsonWriter& json, std::string_view name, const std::optional<double>& number) {
  json.key(name);
  if (number) {
    json.value(*number);
  } else {
    json.null();
  }
}

void write_shares(JsonWriter& json, std::string_view name, const std::vector<double>& shares,
                  const std::vector<std::string>& classes) {
  json.key(name).begin_object();
  for (std::size_t i = 0; i < shares.size(); ++i) {
    json.field(i < classes.size() ? classes[i] : std::to_string(i), shares[i]);
  }
  json.end_object();
}

void write_one(JsonWriter& json, const DriftOf& of, const DriftOfVersion& version,
               const DriftOptions& options) {
  const auto& drift = of.drift;
  json.begin_object().field("feature", std::string_view(of.name));
  json.field("reference", observers::word_of(of.reference)).field("rows", drift.rows);
  const bool compared = of.reference != observers::DriftReference::kNone && drift.rows > 0;
  optional_field(json, "psi", compared ? std::optional(drift.psi) : std::nullopt);
  optional_field(json, "ks", drift.ks);
  optional_field(json, "ks_p_value", drift.ks_p_value);
  json.field("missing", drift.missing).field("reference_missing", drift.reference_missing);
  // Of few rows a median is what somebody sent.
  optional_field(json, "median", of.judged ? drift.median : std::nullopt);
  optional_field(json, "reference_median", drift.reference_median);
  if (!drift.shares.empty()) {
    write_shares(json, "classes", drift.shares, version.classes);
    write_shares(json, "reference_classes", drift.reference_shares, version.classes);
  }
  json.field("drifted", of.drifted);
  json.field("sentence", std::string_view(sentence(of, version, options)));
  json.end_object();
}

void write_version(JsonWriter& json, const DriftOfVersion& version, const DriftOptions& options) {
  json.begin_object().field("rows", version.rows);
  json.field("window_s", std::chrono::duration<double>(options.window).count());
  json.field("reference", observers::word_of(version.reference));
  json.field("baseline_rows", version.baseline_rows);
  json.field("drifted", version.drifted() > 0).key("features").begin_array();
  for (const auto& feature : version.features) write_one(json, feature, version, options);
  json.end_array().key("prediction");
  if (version.prediction) {
    write_one(json, *version.prediction, version, options);
  } else {
    json.null();
  }
  json.end_object();
}

Result<std::string> tell(const Parts& parts, const ModelEntry& entry) {
  const auto& options = entry.config.drift;
  const auto versions =
      options.enabled ? parts.watch.drift.report(entry) : std::vector<DriftOfVersion>();
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("model", std::string_view(entry.name.str()));
  json.field("status", status_of(versions));
  json.field("summary", std::string_view(summary(versions, options)));
  json.field("min_rows", options.min_rows).field("psi_threshold", options.psi);
  json.key("versions").begin_object();
  for (const auto& version : versions) {
    json.key(version.version);
    write_version(json, version, options);
  }
  json.end_object().end_object();
  return out;
}

}  // namespace

void add_drift_api(Router& router, const Parts& parts) {
  serve_model_page(
      router, parts, "/api/models/{}/drift",
      [parts](const ModelEntry& entry, std::string_view) { return tell(parts, entry); });
}

}  // namespace sluice::frontends
