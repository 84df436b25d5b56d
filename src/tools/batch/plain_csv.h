// Columns of numbers from CSV that has nothing but plain fields: no quotes, ASCII, as many fields a
// line as the table has columns, and what is asked for are numbers. Such a part means the same to
// everybody, and so it is read here, several times faster than the engine for tables reads texts
// that then are made numbers of. Whatever is not plain is the engine's to read, and to find errors
// in.
//
// Thread-safety: one owner; the text is borrowed.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::tools::batch {

class PlainCsv {
 public:
  static constexpr std::size_t kMostRows = 2048;

  // `text`: lines, without that of the names. `wanted`: places among the `columns` of the table, in
  // any order, each as often as it likes.
  PlainCsv(std::string_view text, std::size_t columns, std::span<const std::size_t> wanted);

  // False: it is not plain, which may show at any row.
  bool plain() const { return plain_; }
  // The next rows; 0 at the end, and where it is not plain.
  std::size_t next();
  // Of the rows that `next` has read: of the wanted column with this number, NaN where a field is
  // empty.
  const double* numbers(std::size_t wanted) const { return values_.data() + wanted * kMostRows; }

 private:
  bool read_row(std::size_t row);
  const char* read_field(const char* at, std::size_t column, std::size_t row);

  const char* at_;
  const char* const end_;
  const std::size_t columns_;
  std::vector<std::vector<std::size_t>> wanted_of_;  // of each column: where its numbers go
  std::vector<double> values_;                       // column by column
  bool plain_;
};

}  // namespace sluice::tools::batch
