#include "features/convert.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/text.h"

namespace sluice::features {
namespace {

constexpr Unreadable kNoNumber{"is not a number"};
constexpr Unreadable kNoTruth{"is neither true nor false"};
constexpr Unreadable kNoTime{"is not a time"};
constexpr Unreadable kNoText{"is a list and not one text"};

FeatureData read_number(std::string_view text) {
  const bool real_only = text.find_first_of(".eE") != std::string_view::npos;
  if (!real_only) {
    if (const auto integer = parse_int(text)) return *integer;
  }
  if (const auto real = parse_double(text)) return *real;
  if (iequals(text, "nan")) return std::numeric_limits<double>::quiet_NaN();
  return kNoNumber;
}

FeatureData read_truth(std::string_view text) {
  if (text == "1" || iequals(text, "true")) return true;
  if (text == "0" || iequals(text, "false")) return false;
  return kNoTruth;
}

std::string text_of(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, end.ptr);
}

FeatureData time_value(std::int64_t ns) {
  constexpr std::int64_t kBillion = 1'000'000'000;
  if (ns % kBillion == 0) return ns / kBillion;
  return static_cast<double>(ns) / 1e9;
}

struct Coerce {
  FeatureType type;

  FeatureData operator()(bool value) const {
    if (type == FeatureType::kText) return std::string(value ? "true" : "false");
    if (type == FeatureType::kNumber) return std::int64_t{value ? 1 : 0};
    if (type == FeatureType::kTime) return kNoTime;
    return value;
  }
  FeatureData operator()(std::int64_t value) const {
    if (type == FeatureType::kText) return std::to_string(value);
    if (type != FeatureType::kBoolean) return value;
    if (value != 0 && value != 1) return kNoTruth;
    return value == 1;
  }
  FeatureData operator()(double value) const {
    if (type == FeatureType::kText) return text_of(value);
    if (type != FeatureType::kBoolean) return value;
    if (value != 0 && value != 1) return kNoTruth;
    return value == 1;
  }
  FeatureData operator()(std::string value) const { return read_text(value, type); }
  FeatureData operator()(std::vector<double> value) const {
    if (type == FeatureType::kText) return kNoText;
    return value;
  }
  FeatureData operator()(std::vector<std::string> value) const {
    if (type == FeatureType::kNumber || type == FeatureType::kBoolean) return kNoNumber;
    return value;
  }
  template <class T>
  FeatureData operator()(T value) const {
    return value;
  }
};

}  // namespace

FeatureData read_text(std::string_view text, FeatureType type) {
  if (type == FeatureType::kAny || type == FeatureType::kText) return std::string(text);
  if (text.empty()) return Null{};
  if (type == FeatureType::kNumber) return read_number(text);
  if (type == FeatureType::kBoolean) return read_truth(text);
  const auto time = parse_time(text);
  return time ? time_value(*time) : FeatureData(kNoTime);
}

FeatureData coerce(FeatureData data, FeatureType type) {
  if (type == FeatureType::kAny) return data;
  return std::visit(Coerce{type}, std::move(data));
}

Result<std::int64_t> key_number(std::string_view text, const EntityKey& key) {
  const auto value = parse_int(text);
  const bool fits = value && (key.type == KeyType::kInt64 ||
                              (*value >= std::numeric_limits<std::int32_t>::min() &&
                               *value <= std::numeric_limits<std::int32_t>::max()));
  if (fits) return *value;
  return invalid("bad_entity", "'" + printable(key.name) + "' must be an " +
                                   (key.type == KeyType::kInt64 ? "int64" : "int32") +
                                   ", and is '" + printable(text) + "'");
}

}  // namespace sluice::features
