// Rows for a model, put together value by value, whatever they are read from.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/signature.h"
#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

class RowBuilder {
 public:
  // At most `batch` rows are given to the model at a time; one, where it takes no more.
  RowBuilder(const Signature& signature, std::size_t batch);

  // A new row; of the one before nothing is left unless it was ended.
  void begin();
  // The next values of input `input`, in row-major order. False: the row is bad, see `reason`.
  bool add(std::size_t input, double value);
  bool add(std::size_t input, std::int64_t value);
  bool add(std::size_t input, std::uint64_t value);
  bool add(std::size_t input, std::string_view text);
  // NaN, where the input has such a thing.
  bool add_missing(std::size_t input);
  // What this row's dimensions are, for inputs with several free ones; else they follow from the
  // number of values.
  void shape(std::size_t input, std::span<const std::int64_t> dims);
  // The row is in the dataset, unless it has too few values or too many. `label` may be empty.
  bool end(std::string label = {});
  // The row is bad for another reason, about this input. Always false.
  bool refuse(std::size_t input, std::string_view what) { return bad(input, what); }
  // It is left out, and counted, for what `reason` says or this.
  void leave_out();
  void leave_out(std::string reason) {
    reason_ = std::move(reason);
    leave_out();
  }

  // Why the last row was bad: a sentence about an input, without a value.
  const std::string& reason() const { return reason_; }
  // Ended ones.
  std::size_t rows() const { return labels_.size(); }

  // All rows; the labels, if any row has one; a note of those that were left out. `name`: of the
  // file, for messages. Errors: kInvalidArgument/`empty_table`.
  Result<Dataset> finish(const std::string& name);

 private:
  struct Input {
    std::vector<std::byte> bytes;  // of all rows that wait
    std::vector<std::string> texts;
    std::vector<std::byte> row;
    std::vector<std::string> row_texts;
    std::vector<std::int64_t> given;  // by `shape`
    Shape dims;                       // of the rows that wait
    std::size_t count = 0;            // values of this row
  };

  template <class Value>
  bool store(std::size_t input, Value value);
  bool bad(std::size_t input, std::string_view what);
  // Of this row. False: it has no such shape.
  bool dims_of(std::size_t input, Shape& out);
  void flush();

  const Signature& signature_;
  std::size_t batch_;
  std::vector<Input> inputs_;
  std::size_t waiting_ = 0;  // rows that are not in the dataset yet
  Dataset out_;
  std::vector<std::string> labels_;
  std::uint64_t left_out_ = 0;
  std::string reason_;
  std::string first_reason_;
};

}  // namespace sluice::tools::compress
