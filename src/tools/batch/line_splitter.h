// Where the rows of a CSV or JSON-lines file end: a large file becomes parts of about the same size
// without being parsed, each of whole rows. Its bytes are read once, piece by piece.
//
// What a row is, is what DuckDB makes one of as clients/duckdb.h has it read files. In JSON lines:
// every line with more in it than white space. In CSV: every line, which goes on behind its end
// within a field in double quotes; a quote begins such a field at the front of one (blanks before
// it do not count) and is a quote anywhere else; "" within is a quote. An empty line is no row,
// unless there is one column only: then it is a row with nothing in its field. Lines end with \n or
// \r\n; the last need not. A byte order mark of UTF-8 belongs to no part.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace sluice::tools {

enum class LineKind : std::uint8_t { kJsonLines, kCsv };

struct LinePart {
  std::uint64_t offset = 0;     // in the file, bytes
  std::uint64_t length = 0;     // bytes, line ends and all
  std::uint64_t first_row = 0;  // counted from 0; the header of a CSV file is no row
  std::uint64_t rows = 0;
};

class LineSplitter {
 public:
  // A line that is longer, in bytes, is none of a table.
  static constexpr std::uint64_t kLongestRow = std::uint64_t{64} << 20;

  // A part ends with the row in which it reaches `part_size` bytes. The descriptor is borrowed, its
  // file is read from the front; `name` is how messages name it. `piece` bytes are read at a time.
  LineSplitter(const Fd& fd, std::string_view name, LineKind kind, std::uint64_t part_size,
               std::size_t piece = 1 << 20);

  // Errors of both: kInvalidArgument/`bad_table` for a row that is longer than kLongestRow, a
  // quoted field that does not end or a header that is none, with the number of the line;
  // kUnavailable/`unreadable`.

  // The first line of a CSV file, without rows; nothing of JSON lines or where the file is empty.
  // It is in no part: whoever reads a part reads it before.
  Result<std::optional<LinePart>> header();
  // The next part, with at least one row; nothing at the end.
  Result<std::optional<LinePart>> next();

 private:
  struct Row {
    std::uint64_t start;
    std::uint64_t end;  // behind its line end
    bool counts;
  };
  enum class Found : std::uint8_t { kRow, kMore };

  // Nothing at the end of the file.
  Result<std::optional<Row>> row();
  // Looks for the end of the row in what is read; `at_` is behind it, or behind everything.
  Found find_line();
  Found find_record();
  void quote(std::size_t place);
  // Whether a quote at this place of the buffer is the first of its field.
  bool begins_field(std::size_t place) const;
  // Reads the next piece; false at the end.
  Result<bool> refill();
  Result<Row> end_row();
  Failure bad(const std::string& what) const;
  Result<void> check_header(const LinePart& header);

  const Fd& fd_;
  std::string name_;
  LineKind kind_;
  std::uint64_t part_size_;
  std::size_t piece_;

  std::unique_ptr<char[]> buffer_;
  std::size_t size_ = 0;    // bytes in the buffer
  std::size_t at_ = 0;      // of them looked at
  std::uint64_t base_ = 0;  // where the buffer lies in the file

  std::uint64_t row_start_ = 0;
  std::uint64_t row_line_ = 1;  // in which the row begins
  std::uint64_t line_ = 1;      // of what is looked at
  bool filled_ = false;         // there is more in the row than white space
  bool quoted_ = false;         // within a quoted field
  bool field_front_ = true;     // before the buffer there are but blanks in the field
  std::uint64_t closed_ = 0;    // behind the quote that seemed to end a field
  bool empty_lines_count_ = false;
  std::optional<LinePart> header_;
  std::uint64_t rows_ = 0;
};

}  // namespace sluice::tools
