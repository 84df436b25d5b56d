#include "core/features_used.h"

#include <string>
#include <vector>

#include "base/time_text.h"

namespace sluice {
namespace {

// `write(row)` for the only row, or for each in a list.
template <class Write>
void write_rows(std::size_t rows, bool many, JsonWriter& json, Write write) {
  if (!many) return write(0);
  json.begin_array();
  for (std::size_t row = 0; row < rows; ++row) write(row);
  json.end_array();
}

// What belongs to one name: an element, or a list of them.
void write_value(const TensorView& tensor, std::size_t from, std::size_t width, JsonWriter& json) {
  if (width == 1) return write_element(tensor, from, json);
  json.begin_array();
  for (std::size_t i = 0; i < width; ++i) write_element(tensor, from + i, json);
  json.end_array();
}

// A table's columns have names of their own; other inputs are one feature each.
bool by_column(const Signature& signature) {
  return signature.inputs.size() == 1 && !signature.columns.empty();
}

std::size_t names_of(const Signature& signature) {
  return by_column(signature) ? signature.columns.size() : signature.inputs.size();
}

std::string_view name_at(const Signature& signature, std::size_t index) {
  if (by_column(signature)) return signature.columns[index];
  // A list that fills the only table has the one feature's name.
  const bool list = signature.inputs.size() == 1 && signature.fetched != nullptr &&
                    signature.fetched->names.size() == 1;
  return list ? signature.fetched->names[0] : signature.inputs[index].name;
}

// Names as keys of an object, written once for all rows.
std::vector<std::string> quoted_names(const Signature& signature) {
  std::vector<std::string> out(names_of(signature));
  for (std::size_t i = 0; i < out.size(); ++i) JsonWriter(out[i]).value(name_at(signature, i));
  return out;
}

}  // namespace

void write_element(const TensorView& tensor, std::size_t at, JsonWriter& json) {
  switch (tensor.dtype) {
    case DType::kString: json.value(tensor.strings[at]); break;
    case DType::kFloat32: json.value(tensor.as<float>()[at]); break;
    case DType::kUint64: json.value(tensor.as<std::uint64_t>()[at]); break;
    case DType::kInt64: json.value(tensor.as<std::int64_t>()[at]); break;
    case DType::kBool: json.value(number_at(tensor, at) != 0); break;
    case DType::kFloat16:
    case DType::kBFloat16: json.value(static_cast<float>(number_at(tensor, at))); break;
    case DType::kFloat64: json.value(number_at(tensor, at)); break;
    default: json.value(static_cast<std::int64_t>(number_at(tensor, at))); break;
  }
}

void write_features_used(std::span<const TensorView> inputs, const Signature& signature,
                         std::size_t rows, bool many, JsonWriter& json) {
  const auto quoted = quoted_names(signature);
  const std::size_t names = quoted.size();
  write_rows(rows, many, json, [&](std::size_t row) {
    json.begin_object();
    for (std::size_t i = 0; i < names; ++i) {
      json.quoted_key(quoted[i]);
      if (by_column(signature)) {
        write_element(inputs[0], row * names + i, json);
        continue;
      }
      const std::size_t width = inputs[i].elements() / rows;
      write_value(inputs[i], row * width, width, json);
    }
    json.end_object();
  });
}

void write_feature_times(const Signature& signature, std::size_t rows, bool many,
                         std::span<const std::int64_t> times, JsonWriter& json) {
  const std::size_t names = names_of(signature);
  // Most features of an entity are of one moment.
  std::int64_t last = 0;
  std::string text;
  write_rows(rows, many, json, [&](std::size_t row) {
    json.begin_object();
    for (std::size_t i = 0; i < names; ++i) {
      const auto time = times[row * names + i];
      if (time == 0) continue;
      if (time != last) {
        text.assign(1, '"');
        append_time(time, text);
        text += '"';
        last = time;
      }
      json.key(name_at(signature, i)).raw(text);
    }
    json.end_object();
  });
}

}  // namespace sluice
