// Reads a JSON number, string or (nested) array straight into a tensor of a given type: the first
// place that a value is written to is the memory that the engine will read. Internal to codecs.
//
// Null is NaN where the type is floating point. Numbers must fit the type exactly in range; an
// integer may be written 3, 3.0 or 3e0. Arrays of one level must have one length.
//
// Thread-safety: one owner.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "base/arena.h"
#include "codecs/json_input.h"
#include "core/tensor.h"

namespace sluice::codecs {

class NestedReader {
 public:
  // `expected` elements get room at once; more make it grow. `name` is for messages.
  NestedReader(DType dtype, std::size_t expected, Arena& arena, std::string_view name);

  // Strings may be written {"b64":"…"} too.
  void allow_base64() { base64_ = true; }

  // Reads a whole value. May be called again to append another of the same shape.
  Result<void> read(od::value value);
  // The same for a list that has been opened already; a value can be opened only once.
  Result<void> read(od::array array);

  // What was read: dimensions of the nesting (none for a single value) and number of elements.
  const Shape& dims() const { return dims_; }
  std::size_t count() const { return count_; }

  // The elements as a tensor of `shape`, whose product is count().
  TensorView tensor(const Shape& shape) const;

 private:
  void note_dims();
  Result<void> read_value(od::value value, std::size_t level);
  Result<void> read_array(od::array array, std::size_t level);
  Result<bool> read_numbers(od::array& array, std::size_t level);
  bool take_numbers(std::string_view text);
  template <class T>
  bool take_list(std::string_view text);
  Result<void> read_leaf(od::value value, std::size_t level);
  Result<void> note_length(std::size_t level, std::int64_t length);
  Result<void> push(od::value value);
  Result<void> push_real(od::value value);
  Result<void> push_integer(od::value value);
  Result<void> push_bool(od::value value);
  Result<void> push_string(od::value value);
  Result<void> push_base64(od::value value);
  Result<void> wrong_value(od::value value, simdjson::error_code error, std::string_view expected);
  template <class T>
  void store(T value);
  Failure ragged() const;
  Failure out_of_range() const;
  std::string here() const;  // "value 3 of 'features'"
  void reserve_one();

  static constexpr std::size_t kUnknown = static_cast<std::size_t>(-1);

  Arena& arena_;
  std::string_view name_;
  DType dtype_;
  std::size_t element_size_;
  double overflow_;
  std::byte* data_ = nullptr;
  std::size_t count_ = 0;
  std::size_t capacity_ = 0;
  bool base64_ = false;
  Shape dims_;
  std::size_t leaf_level_ = kUnknown;
  std::array<std::int64_t, Shape::kMaxRank> lengths_;
};

}  // namespace sluice::codecs
