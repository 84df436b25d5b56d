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
  if (!many_rows) return write_numbers(prediction.probabilities.first(classes), json);
  json.begin_array();
  for (std::size_t row = 0; row < prediction.rows; ++row) {
    write_numbers(prediction.probabilities.subspan(row * classes, classes), json);
  }
  json.end_array();
}

}  // namespace

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
    if (many_rows) {
      write_numbers(prediction.confidences, json);
    } else {
      json.value(prediction.confidences[0]);
    }
    if (!prediction.probabilities.empty()) write_probabilities(prediction, many_rows, json);
  }
  json.key("stages_ms").begin_object();
  json.field("read", debug.stages.read).field("queue", debug.stages.queue);
  json.field("compute", debug.stages.compute);
  json.field("total", debug.stages.read + debug.stages.queue + debug.stages.compute);
  json.end_object();
  json.field("from_cache", debug.from_cache).field("choice_probability", debug.probability);
  json.end_object();
}

}  // namespace sluice
