// Parquet files cut into parts and put together again, without looking into their pages: the bytes
// of a column chunk are copied as they are, whatever their codec, and a new footer is written for
// them.
//
// What a footer says of types, statistics and encodings stays. Offsets are new. What would point
// elsewhere is left out: page indexes and Bloom filters, which stay behind. The same input gives
// the same bytes. Memory is that of a few footers.
//
// Statistics are kept where they hold: the least and greatest values of a file that was written by
// another program than the first, or that orders its columns differently, are left out.
//
// Errors, of everything: those of tools/batch/file_bytes.h; kInvalidArgument/`bad_table` where
// files do not fit each other, with the column or row group.
//
// Thread-safety: one owner; descriptors and footers are borrowed, and only read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "tools/batch/file_bytes.h"
#include "tools/batch/parquet_footer.h"
#include "tools/batch/parquet_table.h"

namespace sluice::tools {

// Rows of a file: the row groups from `first` on and before `last`.
struct ParquetRows {
  const Fd& fd;
  const ParquetFooter& footer;
  std::size_t first = 0;
  std::size_t last = std::numeric_limits<std::size_t>::max();  // beyond the end: up to it
};

// One file out of the rows of many, one after the other. It is written from where the descriptor
// stands, which should be the front of an empty file, or a pipe.
//
//   ParquetJoin join(output);
//   for (...) SLUICE_CHECK(join.add({part, footer}));
//   SLUICE_CHECK(join.finish());
//
// After an error what is written is no file.
class ParquetJoin {
 public:
  explicit ParquetJoin(const Fd& to) : out_(to) {}
  // Writes nothing: for whoever writes the bytes himself, front and columns, which are `noted`.
  ParquetJoin() = default;
  const std::vector<Piece>& noted() const { return out_.noted(); }

  // All rows must have the same columns: names, types, whether they may be null. The key-value
  // metadata of the first are the file's.
  Result<void> add(const ParquetRows& rows);
  // The columns of both: those of `left` but the ones named in `without` (which need not be there),
  // and behind them those of `right`. The row groups of both have the same numbers of rows; those
  // without rows do not count. Descriptions of the whole schema among the metadata, such as
  // ARROW:schema, are left out: they would be wrong.
  Result<void> add(const ParquetRows& left, std::span<const std::string> without,
                   const ParquetRows& right);
  // Writes the footer. Called once, at the end, when something was added.
  Result<void> finish();
  // The same as a text, without its length and the magic behind it.
  Result<std::string> footer();

  std::uint64_t rows() const { return rows_; }

 private:
  struct Source {
    const ParquetRows& rows;
    const ParquetSide& side;
    bool bounds_hold;
    std::vector<std::size_t> groups;
  };

  // How the table of `sides` fits what was added before.
  Result<ParquetTable> fit(std::span<const ParquetSide> sides);
  Result<void> add_group(std::span<const Source> sources, std::size_t index);
  Result<void> take_chunks(const Source& source, ThriftStruct& group, ThriftList& chunks);
  Result<void> move_chunk(const Source& source, ThriftStruct& chunk);

  ByteWriter out_;
  std::optional<ParquetTable> table_;  // of what was added first
  ThriftStruct head_;                  // FileMetaData
  std::string groups_;                 // as they are written
  std::size_t count_ = 0;
  std::uint64_t rows_ = 0;
};

// What comes before the columns of a file, and behind a footer of so many bytes.
inline constexpr std::string_view kParquetMagic = "PAR1";
std::string parquet_end(std::size_t footer);

// A file of its own with some of the row groups.
Result<void> extract(const ParquetRows& rows, const Fd& to);
// A file with all rows, those of the first file first. Files: at least one.
Result<void> concatenate(std::span<const ParquetRows> files, const Fd& to);
// A file with the columns of both, as ParquetJoin puts them together.
Result<void> paste(const ParquetRows& left, std::span<const std::string> without,
                   const ParquetRows& right, const Fd& to);

}  // namespace sluice::tools
