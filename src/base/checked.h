// Arithmetic on sizes that came from outside. Both functions answer nothing when the true result
// does not fit, so that no allocation or index is ever computed from a wrapped value.
#pragma once

#include <concepts>
#include <optional>

namespace sluice {

template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T out;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T out;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

}  // namespace sluice
