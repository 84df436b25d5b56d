// What the end of a Parquet file says of it: its columns, and where the row groups lie.
//
// A footer is checked as it is read: afterwards every chunk of a column lies within the file's
// data, and no byte belongs to two. The row groups are kept as they are written and made one at a
// time, so that a footer takes about as much memory as it has bytes in the file. Source:
// parquet.apache.org/docs/file-format, and parquet.thrift of Apache Parquet.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "tools/batch/thrift_compact.h"

namespace sluice::tools {

// A column of the table, which may be nested: its leaves are what the file has chunks of.
struct ParquetColumn {
  std::string name;
  std::size_t first_element = 0;  // in the schema
  std::size_t elements = 1;       // it and what is in it
  std::size_t first_leaf = 0;
  std::size_t leaves = 1;
};

struct ParquetRowGroup {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;         // of its chunks, as they lie in the file
  std::uint64_t uncompressed = 0;  // bytes, as the file says: nobody has looked
  std::uint64_t offset = 0;        // of its first byte in the file; 0 where it has none

  // Where it is written, in the footer's `groups`.
  std::size_t written_at = 0;
  std::size_t written_size = 0;
};

struct ParquetFooter {
  std::string name;  // how messages name the file
  std::vector<ParquetColumn> columns;
  std::vector<ParquetRowGroup> row_groups;
  std::uint64_t rows = 0;
  std::size_t leaves = 0;  // of all columns
  std::vector<std::pair<std::string, std::string>> key_values;
  std::string created_by;

  // FileMetaData without its row groups, and these as they are written.
  ThriftStruct head;
  std::string groups;

  // RowGroup. It has a chunk for each leaf.
  ThriftStruct row_group(std::size_t index) const;
};

// The bytes of a column chunk, pages and all; `length` may be 0.
struct ChunkPlace {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Of ColumnMetaData; nothing where that makes no sense.
std::optional<ChunkPlace> place_of_chunk(const ThriftStruct& meta);

// `name` is how messages name the file ("'trips.parquet'"). Errors: kInvalidArgument/`bad_table`
// (not Parquet, damaged, encrypted, or with its columns in other files), and those of reading
// (tools/batch/file_bytes.h).
Result<ParquetFooter> read_footer(const Fd& fd, std::string_view name);

// The same in two steps. What comes before the columns' bytes in a file, and behind its footer:
inline constexpr std::size_t kParquetFront = 4;
inline constexpr std::size_t kParquetTail = 8;
Result<std::string> read_footer_text(const Fd& fd, std::string_view name);
// `data_end`: where the columns' bytes end.
Result<ParquetFooter> parse_footer(std::string_view text, std::uint64_t data_end,
                                   std::string_view name);

}  // namespace sluice::tools
