// Rows written by name, one after the other, gathered into a model's inputs. Internal to codecs.
//
// Thread-safety: one owner.
#pragma once

#include <string_view>
#include <vector>

#include "base/arena.h"
#include "codecs/json_input.h"
#include "codecs/nested_reader.h"
#include "core/request.h"
#include "core/signature.h"

namespace sluice::codecs {

// One reader per input; each row has a value for every one of them.
class ColumnReaders {
 public:
  ColumnReaders(const Signature& signature, Arena& arena);

  // Strings may be written {"b64":"…"}.
  void allow_base64();
  // One row as an array of as many values as there are inputs.
  Result<void> append_array(od::array row);
  // One row as an object from the name of an input to its value.
  Result<void> append_object(od::object row);
  // `appended` rows were read, or one value whose own nesting may hold rows (`appended` 0).
  Result<void> finish(std::size_t appended, Request& out);

 private:
  const Signature& signature_;
  std::vector<NestedReader> readers_;
};

// Named columns of the only, two-dimensional input.
class NamedColumns {
 public:
  NamedColumns(const Signature& signature, Arena& arena)
      : signature_(signature), spec_(signature.inputs[0]), arena_(arena) {}

  Result<void> append(od::object row);
  void finish(Request& out, bool many);

 private:
  void put(std::size_t at, std::size_t width, std::size_t size, const TensorView& value);
  void grow(std::size_t row_bytes);

  const Signature& signature_;
  const TensorSpec& spec_;
  Arena& arena_;
  std::byte* data_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace sluice::codecs
