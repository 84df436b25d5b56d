#include "observers/record_json.h"

#include <fmt/format.h>

#include <cmath>
#include <ctime>

#include "base/digest.h"
#include "core/features_used.h"

namespace sluice::observers {
namespace {

constexpr std::size_t kHashDigits = 16;
constexpr std::size_t kMicroDigits = 6;

// One row, or all of them.
void write_input(const TensorView& tensor, std::size_t rows, bool many, JsonWriter& json) {
  const std::size_t count = tensor.elements();
  const std::size_t width = rows == 0 ? 0 : count / rows;
  const auto row = [&](std::size_t from, std::size_t to) {
    json.begin_array();
    if (tensor.dtype == DType::kFloat32) {  // nearly all of them
      for (const float each : tensor.as<float>().subspan(from, to - from)) json.value(each);
    } else {
      for (std::size_t i = from; i < to; ++i) write_element(tensor, i, json);
    }
    json.end_array();
  };
  if (!many) return row(0, count);
  json.begin_array();
  for (std::size_t i = 0; i < rows; ++i) row(i * width, (i + 1) * width);
  json.end_array();
}

std::string bytes_of(const Record& record) {
  std::string out;
  for (const auto& input : record.inputs) {
    out.append(reinterpret_cast<const char*>(input.data.data()), input.data.size());
    for (const auto text : input.strings) {
      out.append(text);
      out += '\0';
    }
  }
  return out;
}

void write_number(const Record& record, double value, JsonWriter& json) {
  if (record.head.single_precision) {
    json.value(static_cast<float>(value));
  } else {
    json.value(value);
  }
}

// A number a row, or a flat list where a row's prediction is more than that.
void write_numbers(const Record& record, std::span<const double> values, std::size_t width,
                   JsonWriter& json) {
  const bool many = record.head.many_rows || record.head.rows > 1;
  const auto row = [&](std::size_t index) {
    if (width == 1) return write_number(record, values[index], json);
    json.begin_array();
    for (std::size_t i = 0; i < width; ++i) {
      write_number(record, values[index * width + i], json);
    }
    json.end_array();
  };
  if (values.empty()) {
    json.null();
  } else if (!many) {
    row(0);
  } else {
    json.begin_array();
    for (std::size_t i = 0; i < record.head.rows; ++i) row(i);
    json.end_array();
  }
}

}  // namespace

std::string utc_text(std::int64_t ns) {
  // Records of one second come one behind the other: only their last digits differ.
  thread_local std::time_t second = -1;
  thread_local std::string text;
  const std::time_t seconds = ns / 1'000'000'000;
  if (seconds != second) {
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.000000Z", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    second = seconds;
  }
  auto micros = ns % 1'000'000'000 / 1000;
  for (std::size_t digit = 0; digit < kMicroDigits; ++digit, micros /= 10) {
    text[text.size() - 2 - digit] = static_cast<char>('0' + micros % 10);
  }
  return text;
}

std::string keyed_hash(std::string_view key, std::string_view text) {
  return "h:" + to_hex(hmac_sha256(key, text)).substr(0, kHashDigits);
}

std::optional<std::string> user_shown(const Record& record, const RecordStyle& style) {
  if (record.user_id.empty() || style.privacy.user_id == Privacy::kOff) return std::nullopt;
  if (style.privacy.user_id == Privacy::kFull) return std::string(record.user_id);
  return keyed_hash(style.key, record.user_id);
}

void write_features(const Record& record, const RecordStyle& style, JsonWriter& json) {
  if (record.head.inputs_left_out || style.privacy.features == Privacy::kOff) {
    json.null();
    return;
  }
  if (style.privacy.features == Privacy::kHashed) {
    json.value(std::string_view(keyed_hash(style.key, bytes_of(record))));
    return;
  }
  const bool many = record.head.many_rows || record.head.rows > 1;
  if (record.inputs.size() == 1) {
    return write_input(record.inputs[0], record.head.rows, many, json);
  }
  json.begin_object();
  for (std::size_t i = 0; i < record.inputs.size(); ++i) {
    const bool named = style.signature != nullptr && i < style.signature->inputs.size();
    json.key(named ? style.signature->inputs[i].name : "input_" + std::to_string(i));
    write_input(record.inputs[i], record.head.rows, many, json);
  }
  json.end_object();
}

void write_prediction(const Record& record, JsonWriter& json) {
  write_numbers(record, record.values, record.width(), json);
}

void write_confidence(const Record& record, JsonWriter& json) {
  write_numbers(record, record.confidences, 1, json);
}

void write_entity(const Record& record, const RecordStyle& style, JsonWriter& json) {
  if (record.entities.empty() || style.privacy.user_id == Privacy::kOff) {
    json.null();
    return;
  }
  const bool many = record.head.many_rows || record.head.rows > 1;
  const std::size_t keys = record.entities.size() / record.head.rows;
  const auto value = [&](std::string_view text) {
    const bool full = style.privacy.user_id == Privacy::kFull;
    json.value(full ? text : std::string_view(keyed_hash(style.key, text)));
  };
  const auto* fetched = style.signature == nullptr ? nullptr : style.signature->fetched.get();
  const auto row = [&](std::size_t from) {
    if (keys == 1) return value(record.entities[from]);
    json.begin_object();
    for (std::size_t i = 0; i < keys; ++i) {
      const bool named = fetched != nullptr && i < fetched->keys.size();
      json.key(named ? fetched->keys[i].name : "key_" + std::to_string(i));
      value(record.entities[from + i]);
    }
    json.end_object();
  };
  if (!many) return row(0);
  json.begin_array();
  for (std::size_t i = 0; i < record.head.rows; ++i) row(i * keys);
  json.end_array();
}

void write_fetched(const Record& record, const RecordStyle& style, JsonWriter& json) {
  const auto privacy = style.privacy.features;
  if (record.times.empty() || privacy == Privacy::kOff || style.signature == nullptr) return;
  const bool many = record.head.many_rows || record.head.rows > 1;
  if (privacy == Privacy::kFull) {
    json.key("features_used");
    write_features_used(record.inputs, *style.signature, record.head.rows, many, json);
  }
  json.key("feature_times");
  write_feature_times(*style.signature, record.head.rows, many, record.times, json);
}

void write_record(const Record& record, const RecordStyle& style, JsonWriter& json) {
  const Record::Head& head = record.head;
  json.field("timestamp", std::string_view(utc_text(head.at_ns)));
  json.field("request_id", record.request_id);
  json.field("model", record.model).field("model_version", record.version);
  json.key("features");
  write_features(record, style, json);
  json.key("prediction");
  write_prediction(record, json);
  json.key("confidence");
  write_confidence(record, json);
  json.field("latency_ms", std::round(head.total_ms * 1000) / 1000);
  json.key("user_id");
  const auto user = user_shown(record, style);
  user ? json.value(std::string_view(*user)) : json.null();
  if (!record.labels.empty()) {
    json.key("label");
    const bool many = head.many_rows || head.rows > 1;
    if (many) json.begin_array();
    for (const auto label : record.labels) json.value(label);
    if (many) json.end_array();
  }
  if (!std::isnan(head.label)) json.field("true_label", head.label);
  if (head.release != 0) json.field("choice_probability", head.probability);
  if (head.from_cache) json.field("from_cache", true);
  if (!record.entities.empty()) {
    json.key("entity_id");
    write_entity(record, style, json);
  }
  write_fetched(record, style, json);
}

}  // namespace sluice::observers
