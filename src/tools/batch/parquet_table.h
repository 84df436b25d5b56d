// What a Parquet file that is put together has for columns: those of one file, or of two side by
// side. Only the parquet_* files include it.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tools/batch/parquet_footer.h"

namespace sluice::tools {

// The columns that are taken from a file.
struct ParquetSide {
  const ParquetFooter* footer;
  std::vector<std::size_t> columns;  // of the footer's
  std::vector<bool> leaves;          // of all of the footer's: taken or not
};
ParquetSide side_of(const ParquetFooter& footer, std::span<const std::string> without);

struct ParquetTable {
  struct Column {
    std::string name;
    std::string written;  // its elements of the schema
  };
  // What tells how the statistics of a side are to be understood.
  struct Meaning {
    std::string orders;  // of its columns, as they are written; none where the file says none
    std::string created_by;
    bool operator==(const Meaning&) const = default;
  };
  std::string name;  // of the first side's file
  std::vector<Column> columns;
  std::vector<Meaning> meanings;  // of each side
};

// Errors: kInvalidArgument/`bad_table` for a column that is in both.
Result<ParquetTable> table_of(std::span<const ParquetSide> sides);
// Errors: kInvalidArgument/`bad_table`, with the column that differs.
Result<void> check_same(const ParquetTable& expected, const ParquetTable& table);

// Whether the least and greatest values in the statistics of a side hold in a file that begins with
// `first`.
bool bounds_hold(const ParquetTable& first, const ParquetTable& table, std::size_t side);

// FileMetaData for the columns of all sides, with nothing said of rows so far.
ThriftStruct head_of(std::span<const ParquetSide> sides);

}  // namespace sluice::tools
