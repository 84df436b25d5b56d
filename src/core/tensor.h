// Tensors: what travels between codecs and engines.
//
// A TensorView is a data type, a shape and a view of row-major elements; it owns nothing. The
// memory belongs to the request's arena, its receive buffer or an engine. Numeric elements are
// little-endian and aligned to their size; strings are views, one per element.
//
// Thread-safety: plain values.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

enum class DType : std::uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat16,
  kBFloat16,
  kFloat32,
  kFloat64,
  kString,
};

// Bytes of one element; 0 for strings.
std::size_t size_of(DType dtype);
// The Open Inference Protocol's name: FP32, INT64, BYTES …
std::string_view name_of(DType dtype);
std::optional<DType> dtype_named(std::string_view name);
bool is_floating(DType dtype);
bool is_integer(DType dtype);
// The least magnitude that rounds to infinity in a floating type; infinity for FP64.
double overflow_of(DType dtype);

// Up to 16 non-negative dimensions, in place.
class Shape {
 public:
  static constexpr std::size_t kMaxRank = 16;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) {
    for (const auto dim : dims) push(dim);
  }

  std::size_t rank() const { return rank_; }
  std::int64_t operator[](std::size_t i) const { return dims_[i]; }
  std::int64_t& operator[](std::size_t i) { return dims_[i]; }
  std::span<const std::int64_t> dims() const { return {dims_.data(), rank_}; }

  // False when there is no room.
  bool push(std::int64_t dim) {
    if (rank_ == kMaxRank) return false;
    dims_[rank_++] = dim;
    return true;
  }
  // Without the first dimension.
  Shape row() const;
  friend bool operator==(const Shape& a, const Shape& b) {
    return std::ranges::equal(a.dims(), b.dims());
  }

 private:
  std::array<std::int64_t, kMaxRank> dims_;
  std::size_t rank_ = 0;
};

// Number of elements; 400 `shape_overflow` when a dimension is negative or the product is beyond
// 2^28, the most that one tensor may hold.
Result<std::size_t> element_count(std::span<const std::int64_t> dims);

// "[2,30]"; unknown dimensions (-1) are shown as "N".
std::string show_shape(std::span<const std::int64_t> dims);

struct TensorView {
  DType dtype = DType::kFloat32;
  Shape shape;
  std::span<const std::byte> data;            // every type but kString
  std::span<const std::string_view> strings;  // kString

  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data.data()), data.size() / sizeof(T)};
  }
  std::size_t elements() const {
    return dtype == DType::kString ? strings.size() : data.size() / size_of(dtype);
  }
};

// Element `index` of any numeric type as a number.
double number_at(const TensorView& tensor, std::size_t index);

}  // namespace sluice
