#include "observers/log_row.h"

#include <cmath>

#include "base/text.h"
#include "core/features_used.h"

namespace sluice::observers {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr double kExact = 9007199254740992.0;              // 2^53: whole numbers up to it are exact

std::string valid_text(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    out += length > 0 ? text.substr(0, length) : kReplacement;
    text.remove_prefix(length > 0 ? length : 1);
  }
  return out;
}

bool many(const Record& record) { return record.head.many_rows || record.head.rows > 1; }

// False where that is no list of numbers, or would not be the same numbers.
bool numbers_of(const TensorView& tensor, std::vector<double>& out) {
  if (tensor.dtype == DType::kString) return false;
  const std::size_t count = tensor.elements();
  out.resize(count);
  const bool wide = tensor.dtype == DType::kInt64 || tensor.dtype == DType::kUint64;
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = number_at(tensor, i);
    if (wide && std::abs(out[i]) > kExact) return false;
  }
  return true;
}

void put_features(const Record& record, const RecordStyle& style, LogRow& row) {
  if (record.head.inputs_left_out || style.privacy.features == Privacy::kOff) return;
  const bool plain = style.privacy.features == Privacy::kFull && record.inputs.size() == 1;
  if (plain && !many(record) && numbers_of(record.inputs[0], row.features)) return;
  row.features.clear();
  JsonWriter json(row.features_json);
  write_features(record, style, json);
}

void put_label(const Record& record, LogRow& row) {
  if (record.labels.empty()) return;
  if (!many(record)) {
    row.label = valid_text(record.labels[0]);
    return;
  }
  JsonWriter json(row.label.emplace());
  json.begin_array();
  for (const auto label : record.labels) json.value(label);
  json.end_array();
}

void put_fetched(const Record& record, const RecordStyle& style, LogRow& row) {
  if (!record.entities.empty() && style.privacy.user_id != Privacy::kOff) {
    JsonWriter json(row.entity_id.emplace());
    write_entity(record, style, json);
    // One text is that text, without JSON's quotes.
    if (record.entities.size() == 1 && !many(record)) {
      row.entity_id = style.privacy.user_id == Privacy::kFull
                          ? valid_text(record.entities[0])
                          : keyed_hash(style.key, record.entities[0]);
    }
  }
  const bool told = style.privacy.features != Privacy::kOff && style.signature != nullptr;
  if (record.times.empty() || !told) return;
  JsonWriter json(row.feature_times.emplace());
  write_feature_times(*style.signature, record.head.rows, many(record), record.times, json);
}

}  // namespace

std::size_t LogRow::bytes() const {
  return sizeof *this + request_id.size() + model.size() + version.size() + features_json.size() +
         sizeof(double) * (features.size() + predictions.size() + confidences.size()) +
         (user_id ? user_id->size() : 0) + (label ? label->size() : 0) +
         (entity_id ? entity_id->size() : 0) + (feature_times ? feature_times->size() : 0);
}

LogRow log_row(const Record& record, const RecordStyle& style) {
  LogRow row;
  row.at_ns = record.head.at_ns;
  row.request_id = valid_text(record.request_id);
  row.model = record.model;
  row.version = record.version;
  put_features(record, style, row);
  row.predictions.assign(record.values.begin(), record.values.end());
  row.confidences.assign(record.confidences.begin(), record.confidences.end());
  row.rows = record.head.rows;
  row.latency_ms = std::round(record.head.total_ms * 1000) / 1000;
  if (auto user = user_shown(record, style)) row.user_id = valid_text(*user);
  put_label(record, row);
  put_fetched(record, style, row);
  if (!std::isnan(record.head.label)) row.true_label = record.head.label;
  if (record.head.release != 0) row.choice_probability = record.head.probability;
  row.many_rows = many(record);
  row.from_cache = record.head.from_cache;
  return row;
}

}  // namespace sluice::observers
