#include "codecs/feature_reader.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "codecs/nested_reader.h"
#include "codecs/row_shape.h"

namespace sluice::codecs {
namespace {

constexpr std::string_view kFeatures = "features";

// A model whose inputs are single values each: sklearn's column-wise exports.
bool is_columnar(const Signature& signature) {
  return signature.inputs.size() > 1 &&
         std::ranges::all_of(signature.inputs,
                             [](const TensorSpec& spec) { return row_width(spec) == 1; });
}

std::vector<std::string_view> names_of(const Signature& signature) {
  std::vector<std::string_view> out;
  if (!signature.columns.empty()) {
    out.assign(signature.columns.begin(), signature.columns.end());
  } else {
    for (const auto& input : signature.inputs) out.push_back(input.name);
  }
  return out;
}

Failure unknown_feature(std::string_view name, const Signature& signature) {
  const auto known = names_of(signature);
  return invalid("unknown_feature",
                 "the model has no feature '" + printable(name) + "'" + did_you_mean(name, known));
}

Failure missing_feature(std::string_view name) {
  return invalid("missing_feature", "feature '" + std::string(name) + "' is missing");
}

Failure repeated_feature(std::string_view name) {
  return invalid("duplicate_key", "feature '" + printable(name) + "' is given twice");
}

void set_rows(Request& out, const Rows& rows) {
  out.rows = rows.rows;
  out.many_rows = rows.many;
}

// Positional values of the only input.
Result<void> read_single(od::array features, const TensorSpec& spec, Request& out) {
  NestedReader reader(spec.dtype, row_width(spec), out.arena, kFeatures);
  SLUICE_CHECK(reader.read(features));
  SLUICE_TRY(const auto rows, fit_rows(spec, reader.dims(), reader.count(), kFeatures));
  out.inputs[0] = reader.tensor(rows.shape);
  set_rows(out, rows);
  return {};
}

// One reader per input; rows are appended to each.
class ColumnReaders {
 public:
  ColumnReaders(const Signature& signature, Arena& arena) : signature_(signature) {
    readers_.reserve(signature.inputs.size());
    for (const auto& spec : signature.inputs) {
      readers_.emplace_back(spec.dtype, row_width(spec), arena, spec.name);
    }
  }

  // One row as an array of as many values as there are inputs.
  Result<void> append_array(od::array row) {
    std::size_t i = 0;
    for (auto element : row) {
      od::value value;
      if (auto error = element.get(value)) return not_json(simdjson::error_message(error));
      if (i < readers_.size()) {
        SLUICE_CHECK(readers_[i].read(value));
      } else {
        SLUICE_CHECK(visit(value));
      }
      ++i;
    }
    if (i != readers_.size()) {
      return invalid("wrong_width", "'features' has " + std::to_string(i) +
                                        " values; the model takes " +
                                        std::to_string(readers_.size()));
    }
    return {};
  }

  // One row as an object from the name of an input to its value.
  Result<void> append_object(od::object row) {
    std::vector<bool> seen(readers_.size(), false);
    for (auto field : row) {
      std::string_view key;
      od::value value;
      if (auto error = field.unescaped_key().get(key)) {
        return not_json(simdjson::error_message(error));
      }
      if (auto error = field.value().get(value)) return not_json(simdjson::error_message(error));
      const auto at = signature_.input_named(key);
      if (at == Signature::npos) return unknown_feature(key, signature_);
      if (seen[at]) return repeated_feature(key);
      seen[at] = true;
      SLUICE_CHECK(readers_[at].read(value));
    }
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (!seen[i]) return missing_feature(signature_.inputs[i].name);
    }
    return {};
  }

  // `appended` rows were read, or one value whose own nesting may hold rows (`appended` 0).
  Result<void> finish(std::size_t appended, Request& out) {
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      const auto& spec = signature_.inputs[i];
      const auto& reader = readers_[i];
      const Shape dims = stacked(reader.dims(), spec, appended);
      SLUICE_TRY(const auto rows, fit_rows(spec, dims, reader.count(), spec.name));
      if (i > 0 && rows.rows != out.rows) {
        return invalid("ragged", "'" + signature_.inputs[0].name + "' has " +
                                     std::to_string(out.rows) + " rows and '" + spec.name +
                                     "' has " + std::to_string(rows.rows));
      }
      out.inputs[i] = reader.tensor(rows.shape);
      set_rows(out, rows);
    }
    if (appended > 0) out.many_rows = true;
    return {};
  }

 private:
  // The nesting with rows in front, and single values as rows of one where the model has it so.
  static Shape stacked(const Shape& dims, const TensorSpec& spec, std::size_t appended) {
    Shape out;
    if (appended > 0) out.push(static_cast<std::int64_t>(appended));
    for (const auto dim : dims.dims()) out.push(dim);
    const auto row = spec.row_dims();
    const bool rows_of_one = row.size() == 1 && row[0] == 1;
    if (rows_of_one && (out.rank() == 0 || (out.rank() == 1 && (appended > 0 || out[0] != 1)))) {
      out.push(1);
    }
    return out;
  }

  const Signature& signature_;
  std::vector<NestedReader> readers_;
};

// Named columns of the only, two-dimensional input.
class NamedColumns {
 public:
  NamedColumns(const Signature& signature, Arena& arena)
      : signature_(signature), spec_(signature.inputs[0]), arena_(arena) {}

  Result<void> append(od::object row) {
    const std::size_t width = signature_.columns.size();
    const std::size_t size = size_of(spec_.dtype);
    if (rows_ == capacity_) grow(width * size);
    std::vector<bool> seen(width, false);
    std::size_t expected = 0;  // clients mostly keep the order
    std::size_t count = 0;
    for (auto field : row) {
      std::string_view key;
      od::value value;
      if (auto error = field.unescaped_key().get(key)) {
        return not_json(simdjson::error_message(error));
      }
      if (auto error = field.value().get(value)) return not_json(simdjson::error_message(error));
      const std::size_t at = expected < width && signature_.columns[expected] == key
                                 ? expected
                                 : signature_.column_named(key);
      if (at == Signature::npos) return unknown_feature(key, signature_);
      if (seen[at]) return repeated_feature(key);
      seen[at] = true;
      NestedReader reader(spec_.dtype, 1, arena_, signature_.columns[at]);
      SLUICE_CHECK(reader.read(value));
      if (reader.count() != 1 || reader.dims().rank() > 0) {
        return invalid("wrong_type", "feature '" + signature_.columns[at] +
                                         "' must be a single value, not a list");
      }
      put(at, width, size, reader.tensor({}));
      expected = at + 1;
      ++count;
    }
    if (count != width) {
      for (std::size_t i = 0; i < width; ++i) {
        if (!seen[i]) return missing_feature(signature_.columns[i]);
      }
    }
    ++rows_;
    return {};
  }

  void finish(Request& out, bool many) {
    TensorView tensor;
    tensor.dtype = spec_.dtype;
    const std::size_t width = signature_.columns.size();
    tensor.shape = {static_cast<std::int64_t>(rows_), static_cast<std::int64_t>(width)};
    if (spec_.dtype == DType::kString) {
      tensor.strings = {reinterpret_cast<std::string_view*>(data_), rows_ * width};
    } else {
      tensor.data = {data_, rows_ * width * size_of(spec_.dtype)};
    }
    out.inputs[0] = tensor;
    out.rows = rows_;
    out.many_rows = many;
  }

 private:
  void put(std::size_t at, std::size_t width, std::size_t size, const TensorView& value) {
    const std::size_t index = rows_ * width + at;
    if (spec_.dtype == DType::kString) {
      reinterpret_cast<std::string_view*>(data_)[index] = value.strings[0];
    } else {
      std::memcpy(data_ + index * size, value.data.data(), size);
    }
  }

  void grow(std::size_t row_bytes) {
    const std::size_t bytes = std::max(row_bytes, signature_.columns.size() * kStringSlot(spec_));
    const std::size_t next = std::max<std::size_t>(1, capacity_ * 2);
    std::byte* grown = arena_.array<std::byte>(next * bytes).data();
    if (rows_ > 0) std::memcpy(grown, data_, rows_ * bytes);
    data_ = grown;
    capacity_ = next;
  }

  static std::size_t kStringSlot(const TensorSpec& spec) {
    return spec.dtype == DType::kString ? sizeof(std::string_view) : 0;
  }

  const Signature& signature_;
  const TensorSpec& spec_;
  Arena& arena_;
  std::byte* data_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t capacity_ = 0;
};

Result<void> read_object(od::object object, const Signature& signature, Request& out) {
  if (signature.inputs.size() == 1 && !signature.columns.empty()) {
    NamedColumns columns(signature, out.arena);
    SLUICE_CHECK(columns.append(object));
    columns.finish(out, false);
    return {};
  }
  ColumnReaders readers(signature, out.arena);
  SLUICE_CHECK(readers.append_object(object));
  return readers.finish(0, out);
}

// A list whose elements are rows by name, or arrays of a columnar model.
Result<void> read_rows(od::array rows, const Signature& signature, Request& out) {
  const bool columns = signature.inputs.size() == 1 && !signature.columns.empty();
  NamedColumns named(signature, out.arena);
  ColumnReaders readers(signature, out.arena);
  std::size_t count = 0;
  for (auto element : rows) {
    od::value row;
    if (auto error = element.get(row)) return not_json(simdjson::error_message(error));
    od::object object;
    od::array array;
    if (row.get_object().get(object) == simdjson::SUCCESS) {
      SLUICE_CHECK(columns ? named.append(object) : readers.append_object(object));
    } else if (!columns && row.get_array().get(array) == simdjson::SUCCESS) {
      SLUICE_CHECK(readers.append_array(array));
    } else {
      return invalid("ragged", "every row of 'features' must be of the same form");
    }
    ++count;
  }
  if (count == 0) return invalid("empty", "'features' is empty");
  if (!columns) return readers.finish(count, out);
  named.finish(out, true);
  return {};
}

enum class FirstElement { kNone, kObject, kArray, kLeaf, kBroken };

// What a list starts with; the list can be read again from the beginning.
FirstElement first_element(od::array& array) {
  FirstElement out = FirstElement::kNone;
  for (auto element : array) {
    od::json_type type;
    if (element.type().get(type)) return FirstElement::kBroken;
    out = type == od::json_type::object  ? FirstElement::kObject
          : type == od::json_type::array ? FirstElement::kArray
                                         : FirstElement::kLeaf;
    break;
  }
  return out;
}

}  // namespace

Result<void> read_features(od::value features, const Signature& signature, Request& out) {
  out.inputs = out.arena.array<TensorView>(signature.inputs.size());
  od::object object;
  if (features.get_object().get(object) == simdjson::SUCCESS) {
    return read_object(object, signature, out);
  }
  od::array array;
  if (auto error = features.get_array().get(array)) {
    if (error != simdjson::INCORRECT_TYPE) return not_json(simdjson::error_message(error));
    SLUICE_CHECK(visit(features));
    return invalid("wrong_type", "'features' must be an array or an object, not " +
                                     std::string(kind_of(features)));
  }
  const auto first = first_element(array);
  if (first == FirstElement::kNone) return invalid("empty", "'features' is empty");
  if (auto error = array.reset().error()) return not_json(simdjson::error_message(error));
  if (first == FirstElement::kBroken) return not_json("'features' is not valid JSON");
  const bool columnar = is_columnar(signature);
  if (first == FirstElement::kObject || (columnar && first == FirstElement::kArray)) {
    return read_rows(array, signature, out);
  }
  if (columnar) {
    ColumnReaders readers(signature, out.arena);
    SLUICE_CHECK(readers.append_array(array));
    return readers.finish(0, out);
  }
  if (signature.inputs.size() != 1) {
    std::vector<std::string> names;
    for (const auto& input : signature.inputs) names.push_back(input.name);
    return invalid("wrong_type", "the model has the inputs " + join_and(names) +
                                     ": send 'features' as an object with these names");
  }
  return read_single(array, signature.inputs[0], out);
}

}  // namespace sluice::codecs
