// One value: read from a text, written as an element of a tensor's type, and why it cannot be.
//
// Thread-safety: functions without state.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/half.h"
#include "base/text.h"
#include "core/tensor.h"

namespace sluice::tools::batch {

// The number that a text says; NaN where there is no value; nothing: it is none.
inline std::optional<double> number_of(std::string_view text) {
  const auto bare = trim(text);
  if (bare.empty()) return std::numeric_limits<double>::quiet_NaN();
  if (const auto number = parse_double(bare)) return number;
  if (iequals(bare, "nan")) return std::numeric_limits<double>::quiet_NaN();
  if (iequals(bare, "true")) return 1;
  if (iequals(bare, "false")) return 0;
  return std::nullopt;
}

enum class Misfit : std::uint8_t {
  kNone,
  kTooLarge,  // it would become infinite
  kNotWhole,
  kOutside,
};

// "is too large for FP16".
inline std::string say(Misfit misfit, DType dtype) {
  const std::string type(name_of(dtype));
  switch (misfit) {
    case Misfit::kTooLarge: return "is too large for " + type;
    case Misfit::kNotWhole: return "is no whole number, and the model takes " + type;
    default: return "is outside of what " + type + " can hold";
  }
}

namespace element {

template <class T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

template <class T, class Value>
Misfit store_whole(std::byte* at, Value value) {
  if (!std::in_range<T>(value)) return Misfit::kOutside;
  store(at, static_cast<T>(value));
  return Misfit::kNone;
}

inline void store_real(DType dtype, std::byte* at, double value) {
  const auto single = static_cast<float>(value);
  switch (dtype) {
    case DType::kFloat64: return store(at, value);
    case DType::kFloat16: return store(at, float_to_half(single));
    case DType::kBFloat16: return store(at, float_to_bf16(single));
    default: return store(at, single);
  }
}

template <class Value>
Misfit store_integer(DType dtype, std::byte* at, Value value) {
  switch (dtype) {
    case DType::kBool: return store(at, static_cast<std::uint8_t>(value != 0)), Misfit::kNone;
    case DType::kUint8: return store_whole<std::uint8_t>(at, value);
    case DType::kUint16: return store_whole<std::uint16_t>(at, value);
    case DType::kUint32: return store_whole<std::uint32_t>(at, value);
    case DType::kUint64: return store_whole<std::uint64_t>(at, value);
    case DType::kInt8: return store_whole<std::int8_t>(at, value);
    case DType::kInt16: return store_whole<std::int16_t>(at, value);
    case DType::kInt32: return store_whole<std::int32_t>(at, value);
    case DType::kInt64: return store_whole<std::int64_t>(at, value);
    default: return Misfit::kOutside;
  }
}

}  // namespace element

// Of a number that is no text; nothing is written where it does not fit.
inline Misfit store_element(DType dtype, std::byte* at, double value) {
  if (is_floating(dtype)) {
    if (std::isfinite(value) && std::abs(value) >= overflow_of(dtype)) return Misfit::kTooLarge;
    element::store_real(dtype, at, value);
    return Misfit::kNone;
  }
  // Whole numbers of doubles are exact within these bounds.
  if (!(value >= -9.2e18 && value <= 9.2e18) || value != std::floor(value)) {
    return Misfit::kNotWhole;
  }
  return element::store_integer(dtype, at, static_cast<std::int64_t>(value));
}
inline Misfit store_element(DType dtype, std::byte* at, std::int64_t value) {
  return is_floating(dtype) ? store_element(dtype, at, static_cast<double>(value))
                            : element::store_integer(dtype, at, value);
}
inline Misfit store_element(DType dtype, std::byte* at, std::uint64_t value) {
  return is_floating(dtype) ? store_element(dtype, at, static_cast<double>(value))
                            : element::store_integer(dtype, at, value);
}

}  // namespace sluice::tools::batch
