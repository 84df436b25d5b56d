#include "codecs/row_readers.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "codecs/row_shape.h"

namespace sluice::codecs {
namespace {

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

// The nesting with rows in front, and single values as rows of one where the model has it so.
Shape stacked(const Shape& dims, const TensorSpec& spec, std::size_t appended) {
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

}  // namespace

ColumnReaders::ColumnReaders(const Signature& signature, Arena& arena) : signature_(signature) {
  readers_.reserve(signature.inputs.size());
  for (const auto& spec : signature.inputs) {
    readers_.emplace_back(spec.dtype, row_width(spec), arena, spec.name);
  }
}

void ColumnReaders::allow_base64() {
  for (auto& reader : readers_) reader.allow_base64();
}

Result<void> ColumnReaders::append_array(od::array row) {
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

Result<void> ColumnReaders::append_object(od::object row) {
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

Result<void> ColumnReaders::finish(std::size_t appended, Request& out) {
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    const auto& spec = signature_.inputs[i];
    const auto& reader = readers_[i];
    const Shape dims = stacked(reader.dims(), spec, appended);
    SLUICE_TRY(const auto rows, fit_rows(spec, dims, reader.count(), spec.name));
    if (i > 0 && rows.rows != out.rows) {
      return invalid("ragged", "'" + signature_.inputs[0].name + "' has " +
                                   std::to_string(out.rows) + " rows and '" + spec.name + "' has " +
                                   std::to_string(rows.rows));
    }
    out.inputs[i] = reader.tensor(rows.shape);
    set_rows(out, rows);
  }
  if (appended > 0) out.many_rows = true;
  return {};
}

Result<void> NamedColumns::append(od::object row) {
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
      return invalid("wrong_type",
                     "feature '" + signature_.columns[at] + "' must be a single value, not a list");
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

void NamedColumns::finish(Request& out, bool many) {
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

void NamedColumns::put(std::size_t at, std::size_t width, std::size_t size,
                       const TensorView& value) {
  const std::size_t index = rows_ * width + at;
  if (spec_.dtype == DType::kString) {
    reinterpret_cast<std::string_view*>(data_)[index] = value.strings[0];
  } else {
    std::memcpy(data_ + index * size, value.data.data(), size);
  }
}

void NamedColumns::grow(std::size_t row_bytes) {
  const std::size_t slot = spec_.dtype == DType::kString ? sizeof(std::string_view) : 0;
  const std::size_t bytes = std::max(row_bytes, signature_.columns.size() * slot);
  const std::size_t next = std::max<std::size_t>(1, capacity_ * 2);
  std::byte* grown = arena_.array<std::byte>(next * bytes).data();
  if (rows_ > 0) std::memcpy(grown, data_, rows_ * bytes);
  data_ = grown;
  capacity_ = next;
}

}  // namespace sluice::codecs
