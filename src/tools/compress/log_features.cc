#include "tools/compress/log_features.h"

#include <algorithm>

namespace sluice::tools::compress {

using nlohmann::json;

namespace {

bool has_rows(const json& list) { return list.is_array() && !list.empty() && list[0].is_array(); }

}  // namespace

const json* LogFeatures::part(const json& features, std::size_t input) const {
  if (features.is_array()) return signature_.inputs.size() == 1 ? &features : nullptr;
  auto found = features.find(signature_.inputs[input].name);
  // What the server calls an input whose model had gone when the line was written.
  if (found == features.end()) found = features.find("input_" + std::to_string(input));
  return found == features.end() || !found->is_array() ? nullptr : &*found;
}

void LogFeatures::add(const json& features, const std::string& label) {
  if (features.is_null()) {
    ++unwritten_;
    return;
  }
  if (features.is_string()) {
    ++hashed_;
    return;
  }
  std::vector<const json*> parts;
  for (std::size_t i = 0; i < signature_.inputs.size(); ++i) {
    const auto* const one =
        features.is_array() || features.is_object() ? part(features, i) : nullptr;
    const bool alike = one != nullptr && (parts.empty() || has_rows(*one) == has_rows(*parts[0])) &&
                       (parts.empty() || !has_rows(*one) || one->size() == parts[0]->size());
    if (!alike) {
      builder_.begin();
      return builder_.leave_out("its features are not of this model's inputs");
    }
    parts.push_back(one);
  }
  add_rows(parts, label);
}

void LogFeatures::add_rows(const std::vector<const json*>& parts, const std::string& label) {
  const bool many = has_rows(*parts[0]);
  const std::size_t rows = many ? parts[0]->size() : 1;
  for (std::size_t row = 0; row < rows && !full(); ++row) {
    builder_.begin();
    bool good = true;
    for (std::size_t i = 0; i < parts.size() && good; ++i) {
      good = add_values(i, many ? (*parts[i])[row] : *parts[i]);
    }
    good = good && builder_.end(rows == 1 ? label : std::string());
    if (!good) builder_.leave_out();
  }
}

bool LogFeatures::add_values(std::size_t input, const json& values) {
  if (!values.is_array()) return add_value(input, values);
  return std::ranges::all_of(values, [&](const json& one) { return add_value(input, one); });
}

bool LogFeatures::add_value(std::size_t input, const json& value) {
  switch (value.type()) {
    case json::value_t::null: return builder_.add_missing(input);
    case json::value_t::boolean: return builder_.add(input, std::int64_t{value.get<bool>()});
    case json::value_t::number_integer: return builder_.add(input, value.get<std::int64_t>());
    case json::value_t::number_unsigned: return builder_.add(input, value.get<std::uint64_t>());
    case json::value_t::number_float: return builder_.add(input, value.get<double>());
    case json::value_t::string:
      return builder_.add(input, std::string_view(value.get_ref<const std::string&>()));
    default: return builder_.refuse(input, "has a list or an object where a value is expected");
  }
}

}  // namespace sluice::tools::compress
