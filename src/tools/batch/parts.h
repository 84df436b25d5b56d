// The input, cut into parts: what is answered, kept and checked as a whole. Each is a small table
// of its own in the input's format.
//
// Of Parquet it is one row group, or several small ones; of CSV and JSON lines it is about 8 MB of
// whole lines. Where the cuts are depends on nothing but the files, so that every machine and every
// later run finds the same.
//
// Thread-safety: plain values; `part_bytes` by any number of threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "tools/batch/input.h"
#include "tools/batch/parquet_footer.h"

namespace sluice::tools::batch {

struct Part {
  std::size_t file = 0;
  std::uint64_t begin = 0;      // its first row group, or the offset of its first line
  std::uint64_t end = 0;        // behind the last
  std::uint64_t first_row = 0;  // of all files, counted from 0
  std::uint64_t row_in_file = 0;
  std::uint64_t rows = 0;
};

struct Parts {
  std::vector<Part> parts;  // at least one, even where there are no rows
  std::uint64_t rows = 0;
  std::vector<std::string> headers;  // of CSV: each file's first line with its end
  // Of Parquet: those of files with several parts, else null.
  std::vector<std::shared_ptr<const ParquetFooter>> footers;
};

// How messages call the row at `place` of the part, from 0: "row 12 of the input"; of several files
// "row 4 of 'b.csv' (row 154 of the input)".
std::string row_words(const Input& input, const Part& part, std::uint64_t place);

// Errors: the files' own; kInvalidArgument/`bad_table`.
Result<Parts> cut(const Input& input);

// The part as a file of its own, in `to`, which stands at its front and gets nothing else. Errors:
// those of `open_input` and of reading.
Result<void> part_bytes(const Input& input, const Parts& parts, const Part& part, const Fd& to);

}  // namespace sluice::tools::batch
