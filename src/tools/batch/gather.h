// Rows of the input, gathered into the tensors that the model takes.
//
// Values are converted to the inputs' types. A missing value is NaN where the input is floating;
// elsewhere, and where a value does not fit its type, the row is bad, and is told apart with a
// sentence that shows no value.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/arena.h"
#include "core/signature.h"
#include "tools/batch/binding.h"

namespace sluice::tools::batch {

class Gather {
 public:
  Gather(const Signature& signature, const Binding& binding);

  enum class Added : unsigned char {
    kGood,
    kBad,    // `reason` says why; nothing was added
    kOther,  // it cannot be among the rows that are here (another shape): take those first
  };
  // Row `row` of a chunk whose first columns are the binding's fields, in their order.
  Added add(const clients::SqlChunk& chunk, std::size_t row);
  const std::string& reason() const { return reason_; }
  // Whether rows can be had so: where the model takes floating numbers, and each is a field.
  bool in_runs() const { return in_columns_ && !alone_; }
  // The same for rows from `first` on, column by column, up to `count` or to the first one that is
  // bad. Returns how many were added; none unless `in_runs`.
  std::size_t add_run(const clients::SqlChunk& chunk, std::size_t first, std::size_t count);

  std::size_t rows() const { return rows_; }
  // All rows that are here, in signature order; views of this, valid until the next change.
  std::vector<TensorView> inputs() const;
  void clear();

 private:
  struct Input {
    std::vector<std::byte> bytes;
    std::vector<std::string_view> texts;
    std::size_t width = 0;       // values of a row; of a free shape, those of the first row
    std::int64_t free = -1;      // what the free dimension of a row is, where it has one
    std::vector<std::byte> row;  // the row that is being read
    std::vector<std::string_view> row_texts;
  };

  // Of at most 64 rows, those before the first bad one.
  std::size_t add_block(const clients::SqlChunk& chunk, std::size_t first, std::size_t count);
  bool read(const Field& field, std::size_t column, const clients::SqlChunk& chunk,
            std::size_t row);
  bool read_list(const Field& field, std::size_t column, const clients::SqlChunk& chunk,
                 std::size_t row);
  bool put(const Field& field, std::size_t place, double value);
  bool put(const Field& field, std::size_t place, std::int64_t value);
  bool put_unsigned(const Field& field, std::size_t place, std::uint64_t value);
  bool put_text(const Field& field, std::size_t place, std::string_view text);
  bool missing(const Field& field, std::size_t place);
  bool bad(const Field& field, std::string_view what);

  const Signature& signature_;
  const Binding& binding_;
  std::vector<Input> inputs_;
  bool alone_ = false;       // a row is a call
  bool in_columns_ = false;  // only floating numbers, one a field
  std::size_t rows_ = 0;
  bool other_ = false;
  std::string reason_;
  Arena texts_;  // what texts view
};

}  // namespace sluice::tools::batch
