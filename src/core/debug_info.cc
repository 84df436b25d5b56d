#include "core/debug_info.h"

#include <string_view>

namespace sluice {
namespace {

void write_numbers(std::span<const double> numbers, JsonWriter& json) {
  json.begin_array();
  for (const double number : numbers) json.value(number);
  json.end_array();
}

// One row's own, or a list of rows'.
void write_probabilities(const Prediction& prediction, bool many_rows, JsonWriter& json) {
  const std::size_t classes = prediction.probabilities.size() / prediction.rows;
  json.key("class_probabilities");
  if (many_rows) json.begin_array();
  for (std::size_t row = 0; row < (many_rows ? prediction.rows : 1); ++row) {
    write_class_probabilities(prediction.probabilities.subspan(row * classes, classes), json);
  }
  if (many_rows) json.end_array();
}

}  // namespace

void write_class_probabilities(std::span<const double> row, JsonWriter& json) {
  if (row.size() != 1) return write_numbers(row, json);
  json.begin_array().value(1 - row[0]).value(row[0]).end_array();
}

void write_debug(const DebugInfo& debug, const Prediction& prediction, bool many_rows,
                 JsonWriter& json) {
  json.begin_object();
  json.key("input_stats").begin_object();
  json.field("mean", debug.input.mean).field("std", debug.input.std);
  json.field("min", debug.input.min).field("max", debug.input.max);
  json.field("nan_count", debug.input.nan_count).field("count", debug.input.count);
  json.end_object();
  json.key("anomalies").begin_array();
  for (const auto& anomaly : debug.anomalies) json.value(std::string_view(anomaly));
  json.end_array();
  if (prediction.rows > 0 && !prediction.confidences.empty()) {
    json.key("confidence");
    // As the answer prints it.
    const auto confidence = [&](double value) {
      prediction.single_precision ? json.value(static_cast<float>(value)) : json.value(value);
    };
    if (many_rows) json.begin_array();
    for (const double value : prediction.confidences.first(many_rows ? prediction.rows : 1)) {
      confidence(value);
    }
    if (many_rows) json.end_array();
    if (!prediction.probabilities.empty()) write_probabilities(prediction, many_rows, json);
  }
  json.key("stages_ms").begin_object();
  json.field("read", debug.stages.read - debug.stages.features);
  if (debug.stages.features > 0) json.field("features", debug.stages.features);
  json.field("queue", debug.stages.queue);
  json.field("compute", debug.stages.compute);
  json.field("total", debug.stages.read + debug.stages.queue + debug.stages.compute);
  json.end_object();
  json.field("from_cache", debug.from_cache).field("choice_probability", debug.probability);
  json.end_object();
}

}  // namespace sluice
