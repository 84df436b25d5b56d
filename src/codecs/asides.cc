#include "codecs/asides.h"

#include "core/debug_info.h"
#include "core/explanation.h"
#include "core/features_used.h"
#include "core/servable.h"

namespace sluice::codecs {
namespace {

// As short as it was sent to a model of 32-bit floats.
void write_value(JsonWriter& json, double value) {
  const auto single = static_cast<float>(value);
  if (static_cast<double>(single) == value) {
    json.value(single);
  } else {
    json.value(value);
  }
}

void write_row(JsonWriter& json, const Explanation& explanation, const RowExplanation& row) {
  json.begin_object();
  json.field("base_value", row.base_value).field("method", explanation.method);
  json.field("output", explanation.output);
  if (row.of_class) json.field("class", *row.of_class);
  if (row.evaluations > 0) {
    json.field("error", row.error).field("evaluations", row.evaluations);
    json.field("background_rows", row.background_rows);
  }
  json.key("attributions").begin_array();
  for (std::size_t i = 0; i < explanation.features.size(); ++i) {
    json.begin_object().field("feature", explanation.features[i]).key("value");
    write_value(json, row.values[i]);
    json.field("attribution", row.attributions[i]).end_object();
  }
  json.end_array().end_object();
}

// Of the only row, or a list.
std::string explanation_text(const Explanation& explanation, bool many_rows) {
  std::string out;
  JsonWriter json(out);
  if (!many_rows) {
    write_row(json, explanation, explanation.rows[0]);
    return out;
  }
  json.begin_array();
  for (const auto& row : explanation.rows) write_row(json, explanation, row);
  json.end_array();
  return out;
}

void write_features(const Request& request, JsonWriter& json) {
  if (request.feature_times.empty()) return;
  if (!request.features_told.empty() && !request.many_rows) {
    json.key("features_used").raw(request.features_told);
    json.key("feature_times").raw(request.times_told);
    return;
  }
  const Signature& signature = request.servable->signature();
  json.key("features_used");
  write_features_used(request.inputs, signature, request.rows, request.many_rows, json);
  json.key("feature_times");
  write_feature_times(signature, request.rows, request.many_rows, request.feature_times, json);
}

}  // namespace

std::vector<std::pair<std::string_view, std::string>> asides_of(const Request& request) {
  std::vector<std::pair<std::string_view, std::string>> out;
  // The simple protocols have a place of their own for warnings.
  if (!request.warnings.empty() && !request.wants_prediction) {
    std::string text;
    JsonWriter json(text);
    json.begin_array();
    for (const auto& warning : request.warnings) json.value(std::string_view(warning));
    json.end_array();
    out.emplace_back("warnings", std::move(text));
  }
  if (request.reply.debug) {
    std::string text;
    JsonWriter json(text);
    write_debug(*request.reply.debug, request.reply.prediction, request.many_rows, json);
    out.emplace_back("debug", std::move(text));
  }
  if (const Explanation* explanation = request.reply.explanation) {
    out.emplace_back("explanation", explanation_text(*explanation, request.many_rows));
  }
  return out;
}

void write_asides(const Request& request, JsonWriter& json) {
  write_features(request, json);
  for (const auto& [name, text] : asides_of(request)) json.key(name).raw(text);
}

}  // namespace sluice::codecs
