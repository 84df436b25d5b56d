#include "features/rows_writer.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

#include "base/half.h"

namespace sluice::features {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A number of any kind; nothing where it is none.
struct Number {
  double real = 0;
  std::int64_t integer = 0;
  bool whole = false;  // `integer` is it
};

std::optional<Number> number_of(const FeatureData& data) {
  if (const auto* integer = std::get_if<std::int64_t>(&data)) {
    return Number{static_cast<double>(*integer), *integer, true};
  }
  if (const auto* truth = std::get_if<bool>(&data)) {
    return Number{*truth ? 1.0 : 0.0, *truth ? 1 : 0, true};
  }
  const auto* real = std::get_if<double>(&data);
  if (real == nullptr) return std::nullopt;
  // 2^63 is a double, the largest integer is not.
  const bool whole = std::trunc(*real) == *real && std::fabs(*real) < 0x1p63;
  return Number{*real, whole ? static_cast<std::int64_t>(*real) : 0, whole};
}

template <class T>
bool store(const Number& number, std::byte* to) {
  T value{};
  // Requests cannot send them either, and nobody could be told of them.
  if (std::isinf(number.real)) return false;
  if constexpr (std::is_same_v<T, double>) {
    value = number.real;
  } else if constexpr (std::is_same_v<T, float>) {
    if (std::isfinite(number.real) && std::fabs(number.real) >= overflow_of(DType::kFloat32)) {
      return false;
    }
    value = static_cast<float>(number.real);
  } else {
    if (!number.whole) return false;
    if constexpr (std::is_same_v<T, std::uint64_t>) {
      if (number.integer < 0) return false;
    } else {
      if (number.integer < static_cast<std::int64_t>(std::numeric_limits<T>::min()) ||
          number.integer > static_cast<std::int64_t>(std::numeric_limits<T>::max())) {
        return false;
      }
    }
    value = static_cast<T>(number.integer);
  }
  std::memcpy(to, &value, sizeof(value));
  return true;
}

bool store_half(DType dtype, const Number& number, std::byte* to) {
  if (std::isinf(number.real)) return false;
  if (std::isfinite(number.real) && std::fabs(number.real) >= overflow_of(dtype)) return false;
  const auto single = static_cast<float>(number.real);
  const std::uint16_t value =
      dtype == DType::kFloat16 ? float_to_half(single) : float_to_bf16(single);
  std::memcpy(to, &value, sizeof(value));
  return true;
}

bool store(DType dtype, const Number& number, std::byte* to) {
  switch (dtype) {
    case DType::kFloat32: return store<float>(number, to);
    case DType::kFloat64: return store<double>(number, to);
    case DType::kInt64: return store<std::int64_t>(number, to);
    case DType::kInt32: return store<std::int32_t>(number, to);
    case DType::kInt16: return store<std::int16_t>(number, to);
    case DType::kInt8: return store<std::int8_t>(number, to);
    case DType::kUint64: return store<std::uint64_t>(number, to);
    case DType::kUint32: return store<std::uint32_t>(number, to);
    case DType::kUint16: return store<std::uint16_t>(number, to);
    case DType::kUint8: return store<std::uint8_t>(number, to);
    case DType::kFloat16:
    case DType::kBFloat16: return store_half(dtype, number, to);
    case DType::kBool:
      if (!number.whole || number.integer < 0 || number.integer > 1) return false;
      return store<std::uint8_t>(number, to);
    case DType::kString: break;
  }
  return false;
}

}  // namespace

RowsWriter::RowsWriter(const Plan& plan, const Signature& signature, std::size_t rows, Arena& arena)
    : plan_(plan),
      arena_(arena),
      inputs_(arena.array<TensorView>(signature.inputs.size())),
      targets_(arena.array<Target>(signature.inputs.size())) {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    TensorView tensor;
    tensor.dtype = spec.dtype;
    tensor.shape.push(static_cast<std::int64_t>(rows));
    const std::size_t count = rows * plan.row_widths[i];
    // A table's width may be open, as the names are; all others are known.
    if (plan.columns[0].input == i && spec.dims.size() == 2) {
      tensor.shape.push(static_cast<std::int64_t>(plan.row_widths[i]));
    } else {
      for (const auto dim : spec.row_dims()) tensor.shape.push(dim);
    }
    targets_[i] = {spec.dtype, nullptr, nullptr};
    if (spec.dtype == DType::kString) {
      const auto strings = arena.array<std::string_view>(count);
      targets_[i].strings = strings.data();
      tensor.strings = strings;
    } else {
      const auto bytes = arena.array<std::byte>(count * size_of(spec.dtype));
      targets_[i].data = bytes.data();
      tensor.data = bytes;
    }
    new (&inputs_[i]) TensorView(tensor);
  }
}

bool RowsWriter::put(const Column& column, std::size_t row, const FeatureData& data) {
  const std::size_t at = row * plan_.row_widths[column.input] + column.offset;
  if (column.width == 1) return put_one(targets_[column.input], at, data);
  return put_list(column, at, data);
}

bool RowsWriter::put_list(const Column& column, std::size_t at, const FeatureData& data) {
  const Target& target = targets_[column.input];
  const auto each = [&](const auto& list) {
    if (list.size() != column.width) return false;
    for (const auto& one : list) {
      if (!put_one(target, at++, FeatureData(one))) return false;
    }
    return true;
  };
  if (const auto* reals = std::get_if<std::vector<double>>(&data)) return each(*reals);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&data)) return each(*texts);
  if (!std::holds_alternative<Null>(data)) return false;
  for (std::size_t i = 0; i < column.width; ++i) {
    if (!put_one(target, at + i, data)) return false;
  }
  return true;
}

bool RowsWriter::put_one(const Target& target, std::size_t at, const FeatureData& data) {
  if (target.dtype == DType::kString) {
    const auto* text = std::get_if<std::string>(&data);
    if (text == nullptr) return false;
    target.strings[at] = arena_.copy(*text);
    return true;
  }
  std::byte* const to = target.data + at * size_of(target.dtype);
  if (const auto number = number_of(data)) return store(target.dtype, *number, to);
  if (!std::holds_alternative<Null>(data) || !is_floating(target.dtype)) return false;
  return store(target.dtype, Number{kNan, 0, false}, to);
}

std::string RowsWriter::why_not(const Column& column, const FeatureData& data) const {
  const DType dtype = targets_[column.input].dtype;
  if (const auto* unreadable = std::get_if<Unreadable>(&data)) return std::string(unreadable->why);
  if (std::holds_alternative<Null>(data))
    return "has no value, and the model takes no missing ones";
  const bool list = std::holds_alternative<std::vector<double>>(data) ||
                    std::holds_alternative<std::vector<std::string>>(data);
  if (list != (column.width > 1)) {
    return list ? "is a list, and the model takes one value" : "must be a list of values";
  }
  return (list ? "is no list of " + std::to_string(column.width) + " " : "is no ") +
         std::string(name_of(dtype)) + ", which is what the model takes";
}

}  // namespace sluice::features
