// Tables in files (Parquet, CSV, JSON lines), read and written by DuckDB: the duckdb_* files of
// this room are the only ones that see it.
//
// A Duckdb is an engine with an empty database in memory. It uses no network and no extensions, and
// spills nothing to disk. It is never told a path: files are opened here, checked, and handed over
// as descriptors, which are all that it may open. What it reads is streamed; what it writes it
// holds in memory until the file is finished.
//
// Thread-safety: a Duckdb may be used by several threads. A reader with its chunks, and a writer,
// belong to one thread at a time, and may outlive the Duckdb that made them. Work happens on the
// calling thread (and on `threads` - 1 of the engine's); none of it belongs on an I/O thread.
// Nothing here may be used on in a forked process. Errors, of every function:
// kUnavailable/`no_duckdb` (the library is not on this machine), kResourceExhausted/`too_large`
// (more memory than the limit), kNotFound, kInvalidArgument or kUnavailable/`unreadable` (the
// system does not open or read the file), and what each says. A message names a file without its
// directory, and shows nothing of what is in it but names of columns and numbers of lines.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::clients {

// ---- reading -----------------------------------------------------------------------------------

enum class ColumnKind : std::uint8_t {
  kNumber,  // booleans (0 and 1), integers, decimals, floats: as doubles, so exact up to 2^53
  kText,    // everything else: texts as they are, other types in DuckDB's writing of them
};

struct TableColumn {
  std::string name;
  ColumnKind kind;
  std::string stored;  // DuckDB's name of the type in the file, "DECIMAL(18,3)" or "DOUBLE[]"
};

// A column that is asked for. With a kind it is read as that, whatever the file or its first rows
// look like: the postal code 01234 of a CSV file as a text, or texts of digits as numbers.
struct WantedColumn {
  std::string name;
  std::optional<ColumnKind> kind;
};

// At most 2048 rows, at least one. Rows and columns count from 0. It stays what it is when the next
// one is read.
class TableChunk {
 public:
  std::size_t rows() const { return rows_; }
  bool is_null(std::size_t column, std::size_t row) const {
    const std::uint64_t* const valid = columns_[column].valid;
    return valid && ((valid[row / 64] >> (row % 64)) & 1) == 0;
  }
  // Of a kNumber column. Null is NaN here; a NaN of the file's is not null.
  std::span<const double> numbers(std::size_t column) const {
    return {static_cast<const double*>(columns_[column].data), rows_};
  }
  // Of a kText column, valid as long as the chunk; empty where it is null.
  std::string_view text(std::size_t column, std::size_t row) const;

 private:
  friend class TableReader;
  struct Column {
    const void* data;
    const std::uint64_t* valid;  // a bit for each row, or nullptr where none is null
  };

  std::shared_ptr<void> owner_;
  std::size_t rows_ = 0;
  std::vector<Column> columns_;
};

class TableReader {
 public:
  TableReader(TableReader&&) noexcept;
  TableReader& operator=(TableReader&&) noexcept;
  ~TableReader();

  // Those that were asked for in that order, or all in the order of the (first) file.
  std::span<const TableColumn> columns() const;
  // Of all files together; known for Parquet alone.
  std::optional<std::uint64_t> rows() const;

  // The next rows in the order of the files and of the rows in them, or nothing at the end. Errors:
  // kInvalidArgument/`bad_table` when what is there cannot be read, with the file, and where there
  // are lines the line and column; kUnavailable/`changing` when rows are missing or too many. After
  // an error there is nothing more to read.
  Result<std::optional<TableChunk>> next();

 private:
  friend class Duckdb;
  struct Impl;
  explicit TableReader(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// ---- writing -----------------------------------------------------------------------------------

enum class CellType : std::uint8_t {
  kTruth,    // BOOLEAN
  kInteger,  // BIGINT
  kReal,     // DOUBLE
  kText,     // VARCHAR, in UTF-8
  kTime,     // TIMESTAMP, in microseconds of UTC
  kFloats,   // FLOAT[]
  kReals,    // DOUBLE[]
};

struct NewColumn {
  std::string name;
  CellType type;
};

// One Parquet file. It appears under its name when it is finished, whole and on the disk, instead
// of a file that had the name; one that is never finished leaves nothing.
class TableWriter {
 public:
  using Time = std::chrono::sys_time<std::chrono::microseconds>;

  TableWriter(TableWriter&&) noexcept;
  TableWriter& operator=(TableWriter&&) noexcept;
  ~TableWriter();

  // The next cell of the row, from the first column on. What is given is copied.
  TableWriter& truth(bool value);
  TableWriter& integer(std::int64_t value);
  TableWriter& real(double value);
  TableWriter& text(std::string_view value);
  TableWriter& time(Time value);
  TableWriter& floats(std::span<const float> values);
  TableWriter& reals(std::span<const double> values);
  TableWriter& null();
  // The row is in the table. Errors: kInvalidArgument/`bad_cell` for a text that is not UTF-8;
  // kInternal for a cell of another type than its column's, one too many or too few. The row is
  // left out then, and the next may follow. When memory runs out (`too_large`) the file is lost.
  Result<void> end_row();

  // Those that are in the table.
  std::uint64_t rows() const;

  // Writes the file (zstd). Called once, at the end. Errors: kUnavailable/`unwritable`.
  Result<void> finish();

 private:
  friend class Duckdb;
  friend class DuckdbSession;
  struct Impl;
  explicit TableWriter(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// ---- the engine --------------------------------------------------------------------------------

struct DuckdbLimits {
  // Bytes, of everything at a time: what is being read (for Parquet 10 to 20 MB, unless its row
  // groups are large; for CSV and JSON lines up to 64 MB), and all rows of files that are not
  // finished.
  std::uint64_t memory = std::uint64_t{256} << 20;
  unsigned threads = 1;
};

struct DuckdbEngine;

class Duckdb {
 public:
  static Result<Duckdb> open(const DuckdbLimits& limits);

  // A file, or all files of a shell's pattern (*, ?, [...]) in natural order (part-2 before
  // part-10). The ending of the name says what they are:
  //   .parquet
  //   .csv              fields between commas, quoted with "; the first line has the names; an
  //   empty
  //                     field is null; whether a column has numbers is told by its first 20,480
  //                     rows
  //   .jsonl, .ndjson   an object a line; the columns are the keys of all lines of the first file,
  //                     a key that is missing is null
  // Columns of a second file are found by their names and read as those of the first; what the
  // first does not have is left out. Nothing in `wanted` is all columns. Errors:
  // kNotFound/`no_table` (no such file); kInvalidArgument/`bad_table` (not what its ending says,
  // cut off, empty), `unknown_column` and `bad_column` (not to be had as that kind).
  Result<TableReader> read(const std::filesystem::path& files,
                           std::span<const WantedColumn> wanted = {}) const;

  // Whatever the ending. Errors: kInvalidArgument/`bad_column` (no name or one that is not UTF-8,
  // two of one name, upper and lower case being the same); kUnavailable/`unwritable` (the directory
  // is missing or may not be written).
  Result<TableWriter> write(const std::filesystem::path& file,
                            std::vector<NewColumn> columns) const;

 private:
  friend class DuckdbSession;
  explicit Duckdb(std::shared_ptr<const DuckdbEngine> engine) : engine_(std::move(engine)) {}

  std::shared_ptr<const DuckdbEngine> engine_;
};

}  // namespace sluice::clients
