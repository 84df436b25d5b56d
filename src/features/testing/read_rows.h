// For tests of stores: a lookup read at once, and values as short texts.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/feature_store.h"

namespace sluice::features {

// "i7", "d0.5", "bT", "tDE", "[1 2]", "null", "absent", "!is not a number".
struct ShortText {
  std::string operator()(Absent) const { return "absent"; }
  std::string operator()(Null) const { return "null"; }
  std::string operator()(bool value) const { return value ? "bT" : "bF"; }
  std::string operator()(std::int64_t value) const { return "i" + std::to_string(value); }
  std::string operator()(double value) const {
    auto out = "d" + std::to_string(value);
    return out.substr(0, out.find_last_not_of('0') + 1);
  }
  std::string operator()(const std::string& value) const { return "t" + value; }
  std::string operator()(const std::vector<double>& list) const {
    std::string out = "[";
    for (const double value : list) out += (out.size() == 1 ? "" : " ") + (*this)(value);
    return out + "]";
  }
  std::string operator()(const std::vector<std::string>& list) const {
    std::string out = "[";
    for (const auto& value : list) out += (out.size() == 1 ? "" : " ") + value;
    return out + "]";
  }
  std::string operator()(Unreadable unreadable) const { return "!" + std::string(unreadable.why); }
};

// "i7 tDE", with "@seconds" behind a value that has a time; "unknown"; what the error's reason is.
inline std::vector<std::string> read_rows(
    const FeatureReader& reader, const std::vector<std::vector<std::string>>& entities,
    std::chrono::milliseconds patience = std::chrono::seconds(10)) {
  std::vector<std::vector<std::string_view>> views;
  for (const auto& entity : entities) views.emplace_back(entity.begin(), entity.end());
  const std::vector<EntityValues> values(views.begin(), views.end());
  std::vector<FeatureRow> rows(entities.size());
  const auto done = reader.read(values, rows, std::chrono::steady_clock::now() + patience);
  if (!done) return {std::string(done.error().reason)};
  std::vector<std::string> out;
  for (const auto& row : rows) {
    std::string text;
    for (const auto& value : row.values) {
      if (!text.empty()) text += ' ';
      text += std::visit(ShortText(), value.data);
      if (value.time_ns != 0) text += "@" + ShortText()(static_cast<double>(value.time_ns) / 1e9);
    }
    out.push_back(row.known ? text : "unknown");
  }
  return out;
}

}  // namespace sluice::features
