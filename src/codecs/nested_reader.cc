#include "codecs/nested_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/base64.h"
#include "base/half.h"
#include "codecs/json_object.h"
#include "codecs/number_list.h"

namespace sluice::codecs {
namespace {

// The types that a list of numbers is read to at once.
bool is_numeric(DType dtype) { return dtype != DType::kString && dtype != DType::kBool; }

}  // namespace

NestedReader::NestedReader(DType dtype, std::size_t expected, Arena& arena, std::string_view name)
    : arena_(arena),
      name_(name),
      dtype_(dtype),
      element_size_(dtype == DType::kString ? sizeof(std::string_view) : size_of(dtype)),
      overflow_(overflow_of(dtype)),
      capacity_(expected) {
  lengths_.fill(-1);
  data_ = arena_.array<std::byte>(std::max<std::size_t>(expected * element_size_, 64)).data();
}

Result<void> NestedReader::read(od::value value) {
  SLUICE_CHECK(read_value(value, 0));
  note_dims();
  return {};
}

Result<void> NestedReader::read(od::array array) {
  SLUICE_CHECK(read_array(array, 0));
  note_dims();
  return {};
}

void NestedReader::note_dims() {
  dims_ = Shape();
  for (std::size_t i = 0; i < Shape::kMaxRank && lengths_[i] >= 0; ++i) dims_.push(lengths_[i]);
}

Result<void> NestedReader::read_value(od::value value, std::size_t level) {
  od::array array;
  const auto error = value.get_array().get(array);
  if (error == simdjson::INCORRECT_TYPE) return read_leaf(value, level);
  if (error) return not_json(simdjson::error_message(error));
  return read_array(array, level);
}

Result<void> NestedReader::read_array(od::array array, std::size_t level) {
  if (level >= Shape::kMaxRank) {
    return invalid("too_deep", "'" + std::string(name_) + "' is nested more than 16 levels deep");
  }
  if (leaf_level_ <= level) return ragged();
  if (is_numeric(dtype_)) {
    SLUICE_TRY(const bool read, read_numbers(array, level));
    if (read) return {};
  }
  std::int64_t length = 0;
  for (auto element : array) {
    od::value value;
    if (auto error = element.get(value)) {
      return not_json(here() + " is not valid JSON: " + simdjson::error_message(error));
    }
    // After the first leaf, its neighbours are leaves too: no look at their type is needed.
    SLUICE_CHECK(leaf_level_ == level + 1 ? push(value) : read_value(value, level + 1));
    ++length;
  }
  return note_length(level, length);
}

Result<void> NestedReader::note_length(std::size_t level, std::int64_t length) {
  if (lengths_[level] >= 0 && lengths_[level] != length) return ragged();
  lengths_[level] = length;
  return {};
}

// The whole list at once, where it holds nothing but numbers that fit. False: it does not, and is
// to be read from the beginning, element by element, which also says what is wrong.
Result<bool> NestedReader::read_numbers(od::array& array, std::size_t level) {
  std::string_view text;
  if (const auto error = array.raw_json().get(text)) {
    return not_json(here() + " is not valid JSON: " + simdjson::error_message(error));
  }
  const std::size_t before = count_;
  const bool fits_here = leaf_level_ == kUnknown || leaf_level_ == level + 1;
  if (fits_here && *skip_space(text.data() + 1) != '[' && take_numbers(text)) {
    leaf_level_ = level + 1;
    SLUICE_CHECK(note_length(level, static_cast<std::int64_t>(count_ - before)));
    return true;
  }
  count_ = before;
  if (const auto error = array.reset().error()) return not_json(simdjson::error_message(error));
  return false;
}

bool NestedReader::take_numbers(std::string_view text) {
  switch (dtype_) {
    case DType::kFloat32: return take_list<float>(text);
    case DType::kFloat64: return take_list<double>(text);
    case DType::kUint8: return take_list<std::uint8_t>(text);
    case DType::kUint16: return take_list<std::uint16_t>(text);
    case DType::kUint32: return take_list<std::uint32_t>(text);
    case DType::kUint64: return take_list<std::uint64_t>(text);
    case DType::kInt8: return take_list<std::int8_t>(text);
    case DType::kInt16: return take_list<std::int16_t>(text);
    case DType::kInt32: return take_list<std::int32_t>(text);
    case DType::kInt64: return take_list<std::int64_t>(text);
    default: return false;  // half floats are rounded on the way
  }
}

template <class T>
bool NestedReader::take_list(std::string_view text) {
  return read_number_list(text, [this](const auto& number) {
    if (count_ == capacity_) reserve_one();
    constexpr bool kShort = std::is_same_v<std::remove_cvref_t<decltype(number)>, Decimal>;
    if constexpr (std::is_floating_point_v<T>) {
      const double value = [&] {
        if constexpr (kShort)
          return number.value();
        else
          return number;
      }();
      if (std::fabs(value) >= overflow_) return false;
      store(static_cast<T>(value));
      return true;
    } else if constexpr (kShort) {
      const auto value = static_cast<std::int64_t>(number.digits);  // below 10^15
      const auto whole = number.negative ? -value : value;
      if (number.fraction != 0 || !std::in_range<T>(whole)) return false;
      store(static_cast<T>(whole));
      return true;
    } else {
      return false;
    }
  });
}

Result<void> NestedReader::read_leaf(od::value value, std::size_t level) {
  if (leaf_level_ != kUnknown && leaf_level_ != level) return ragged();
  if (level < Shape::kMaxRank && lengths_[level] >= 0) return ragged();
  leaf_level_ = level;
  return push(value);
}

Result<void> NestedReader::push(od::value value) {
  if (count_ == capacity_) reserve_one();
  if (is_floating(dtype_)) return push_real(value);
  if (dtype_ == DType::kString) return push_string(value);
  if (dtype_ == DType::kBool) return push_bool(value);
  return push_integer(value);
}

template <class T>
void NestedReader::store(T value) {
  std::memcpy(data_ + count_ * sizeof(T), &value, sizeof(T));
  ++count_;
}

Result<void> NestedReader::push_real(od::value value) {
  double number = 0;
  if (const auto error = value.get_double().get(number)) {
    bool null = false;
    if (error != simdjson::INCORRECT_TYPE || value.is_null().get(null) || !null) {
      return wrong_value(value, error, "a number or null");
    }
    number = std::numeric_limits<double>::quiet_NaN();
  }
  if (std::fabs(number) >= overflow_) return out_of_range();
  switch (dtype_) {
    case DType::kFloat32: store(static_cast<float>(number)); break;
    case DType::kFloat64: store(number); break;
    case DType::kFloat16: store(float_to_half(static_cast<float>(number))); break;
    default: store(float_to_bf16(static_cast<float>(number)));
  }
  return {};
}

Result<void> NestedReader::push_integer(od::value value) {
  std::int64_t number = 0;
  if (auto error = value.get_int64().get(number)) {
    std::uint64_t large = 0;
    if (dtype_ == DType::kUint64 && value.get_uint64().get(large) == simdjson::SUCCESS) {
      store(large);
      return {};
    }
    // 3.0 and 3e0 are integers too, as long as a double holds them exactly.
    double real = 0;
    if (value.get_double().get(real)) return wrong_value(value, error, "an integer");
    if (std::trunc(real) != real) {
      return invalid("wrong_type", here() + " must be an integer for the model's type " +
                                       std::string(name_of(dtype_)));
    }
    if (std::fabs(real) > 9007199254740992.0) return out_of_range();
    number = static_cast<std::int64_t>(real);
  }
  const auto put = [&]<class T>(T) -> Result<void> {
    if (!std::in_range<T>(number)) return out_of_range();
    store(static_cast<T>(number));
    return {};
  };
  switch (dtype_) {
    case DType::kUint8: return put(std::uint8_t{});
    case DType::kUint16: return put(std::uint16_t{});
    case DType::kUint32: return put(std::uint32_t{});
    case DType::kUint64: return put(std::uint64_t{});
    case DType::kInt8: return put(std::int8_t{});
    case DType::kInt16: return put(std::int16_t{});
    case DType::kInt32: return put(std::int32_t{});
    default: return put(std::int64_t{});
  }
}

Result<void> NestedReader::push_bool(od::value value) {
  bool flag = false;
  if (auto error = value.get_bool().get(flag)) {
    std::int64_t number = -1;
    if (value.get_int64().get(number) || (number != 0 && number != 1)) {
      return wrong_value(value, error, "true, false, 0 or 1");
    }
    flag = number == 1;
  }
  store(static_cast<std::uint8_t>(flag));
  return {};
}

Result<void> NestedReader::push_string(od::value value) {
  std::string_view text;
  const auto error = value.get_string().get(text);
  if (error == simdjson::INCORRECT_TYPE && base64_) return push_base64(value);
  if (error) return wrong_value(value, error, "a string");
  store(arena_.copy(text));
  return {};
}

Result<void> NestedReader::push_base64(od::value value) {
  od::object object;
  if (auto error = value.get_object().get(object)) return wrong_value(value, error, "a string");
  std::optional<std::string> bytes;
  SLUICE_CHECK(for_each_field(object, [&](std::string_view key, od::value text) -> Result<void> {
    if (key != "b64") return invalid("wrong_type", here() + " must be a string or {\"b64\": …}");
    SLUICE_TRY(const auto encoded, read_string(text, key));
    bytes = decode_base64(encoded);
    return {};
  }));
  if (!bytes) return invalid("wrong_type", here() + " has no valid base64");
  store(arena_.copy(*bytes));
  return {};
}

Result<void> NestedReader::wrong_value(od::value value, simdjson::error_code error,
                                       std::string_view expected) {
  od::json_type type;
  if (value.type().get(type)) return not_json(here() + " is not valid JSON");
  if (type == od::json_type::number && !is_json_number(value.raw_json_token())) {
    return not_json(here() + " is not a valid JSON number");
  }
  if (type == od::json_type::number && error == simdjson::NUMBER_ERROR) return out_of_range();
  // Words such as NaN have the type of null, but are not null.
  bool null = false;
  if (type == od::json_type::null && (value.is_null().get(null) || !null)) {
    return not_json(here() + " is not valid JSON; write null for a missing value");
  }
  return invalid("wrong_type", here() + " must be " + std::string(expected) + " (the model takes " +
                                   std::string(name_of(dtype_)) + "), not " +
                                   std::string(kind_of(value)));
}

Failure NestedReader::out_of_range() const {
  return invalid("out_of_range", here() + " is out of the range of the model's type " +
                                     std::string(name_of(dtype_)));
}

Failure NestedReader::ragged() const {
  return invalid("ragged", "'" + std::string(name_) +
                               "' is ragged: every list of one level must have the same length");
}

std::string NestedReader::here() const {
  return "value " + std::to_string(count_) + " of '" + std::string(name_) + "'";
}

void NestedReader::reserve_one() {
  const std::size_t grown = std::max<std::size_t>(capacity_ * 2, 64);
  std::byte* next = arena_.array<std::byte>(grown * element_size_).data();
  std::memcpy(next, data_, count_ * element_size_);
  data_ = next;
  capacity_ = grown;
}

TensorView NestedReader::tensor(const Shape& shape) const {
  TensorView out;
  out.dtype = dtype_;
  out.shape = shape;
  if (dtype_ == DType::kString) {
    out.strings = {reinterpret_cast<const std::string_view*>(data_), count_};
  } else {
    out.data = {data_, count_ * element_size_};
  }
  return out;
}

}  // namespace sluice::codecs
