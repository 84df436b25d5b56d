// Statements of our own making, one after the other, on a connection of their own: for work that
// more is to be done with than to read a table or to write one (tools/batch).
//
// A session keeps temporary tables that nobody else sees. Files are named to it by their open
// descriptors (`sql_file`), which are all that it may open.
//
// Thread-safety: a session with its rows belongs to one thread at a time. Several sessions of one
// Duckdb run side by side, each on its caller's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "clients/duckdb.h"
#include "clients/duckdb_files.h"

namespace sluice::clients {

// For SQL: a name or a text as one token, whatever is in it. Neither may hold a zero byte.
std::string sql_name(std::string_view name);
std::string sql_text(std::string_view text);
// An open file, as the text that FROM and TO take.
std::string sql_file(const Fd& fd);

// A column and DuckDB's name of its type.
struct SqlColumn {
  std::string name;
  std::string type;
  bool operator==(const SqlColumn&) const = default;
};

// What a statement works on, for messages: rows of a file, the first of which is its number
// `first_row` (counted from 1).
struct SqlSubject {
  std::filesystem::path file;
  TableFormat format = TableFormat::kParquet;
  std::uint64_t first_row = 1;
};

// At most 2048 rows of a statement's, or of another's making. What a function takes a column for,
// the statement must have made it: there is no conversion here. Cells that are null hold anything.
class SqlChunk {
 public:
  struct Column {
    const void* data;
    const std::uint64_t* valid;  // a bit for each row, or nullptr where none is null
    const void* child = nullptr;
    const std::uint64_t* child_valid = nullptr;
  };
  SqlChunk() = default;
  // What columns point at is borrowed.
  SqlChunk(std::size_t rows, std::vector<Column> columns)
      : rows_(rows), columns_(std::move(columns)) {}

  std::size_t rows() const { return rows_; }
  // False: none is null for sure.
  bool has_nulls(std::size_t column) const { return columns_[column].valid != nullptr; }
  bool is_null(std::size_t column, std::size_t row) const {
    const std::uint64_t* const valid = columns_[column].valid;
    return valid && ((valid[row / 64] >> (row % 64)) & 1) == 0;
  }
  // FLOAT, DOUBLE, BIGINT (as UBIGINT where that is what it is), BOOLEAN.
  std::span<const float> floats(std::size_t column) const { return plain<float>(column); }
  std::span<const double> reals(std::size_t column) const { return plain<double>(column); }
  std::span<const std::int64_t> integers(std::size_t column) const {
    return plain<std::int64_t>(column);
  }
  std::span<const std::uint8_t> truths(std::size_t column) const {
    return plain<std::uint8_t>(column);
  }
  // VARCHAR, valid as long as the chunk.
  std::string_view text(std::size_t column, std::size_t row) const;

  // The elements of a row of a list column. Of numbers, those that are null are told by `gap`.
  struct List {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  List list(std::size_t column, std::size_t row) const;
  bool gap(std::size_t column, std::size_t element) const {
    const std::uint64_t* const valid = columns_[column].child_valid;
    return valid && ((valid[element / 64] >> (element % 64)) & 1) == 0;
  }
  // The places that `list` speaks of.
  const double* list_reals(std::size_t column) const {
    return static_cast<const double*>(columns_[column].child);
  }
  const std::int64_t* list_integers(std::size_t column) const {
    return static_cast<const std::int64_t*>(columns_[column].child);
  }
  std::string_view list_text(std::size_t column, std::size_t element) const;

 private:
  friend class SqlRows;
  template <class T>
  std::span<const T> plain(std::size_t column) const {
    return {static_cast<const T*>(columns_[column].data), rows_};
  }

  std::shared_ptr<void> owner_;
  std::size_t rows_ = 0;
  std::vector<Column> columns_;
};

class SqlRows {
 public:
  SqlRows(SqlRows&&) noexcept;
  SqlRows& operator=(SqlRows&&) noexcept;
  ~SqlRows();

  // Nothing at the end. Errors: DuckdbSession's.
  Result<std::optional<SqlChunk>> next();

 private:
  friend class DuckdbSession;
  struct Impl;
  explicit SqlRows(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// Errors, of every function: kResourceExhausted/`too_large`; kInvalidArgument/`bad_table` with the
// subject's file and row, where it cannot be read as what the statement says; kUnavailable/
// `unreadable`; kInvalidArgument/`bad_sql` in DuckDB's words where the statement has a part of the
// user's that it does not understand (such words speak of names, never of values); kInternal.
class DuckdbSession {
 public:
  static Result<DuckdbSession> open(const Duckdb& engine);
  DuckdbSession(DuckdbSession&&) noexcept;
  DuckdbSession& operator=(DuckdbSession&&) noexcept;
  ~DuckdbSession();

  Result<void> run(const std::string& sql, const SqlSubject& subject);
  // Rows are made while they are read, of files alone: temporary tables are not seen here. One at a
  // time; a table may be filled meanwhile. `lists`: which columns are lists.
  Result<SqlRows> rows(const std::string& sql, std::vector<bool> lists, const SqlSubject& subject);
  // Whatever the columns are, as texts; null is empty. For small answers.
  Result<std::vector<std::vector<std::string>>> texts(const std::string& sql, std::size_t columns,
                                                      const SqlSubject& subject);
  // The columns that a SELECT would have.
  Result<std::vector<SqlColumn>> describe(const std::string& select, const SqlSubject& subject);
  // A temporary table of the rows that are given, in place of one of that name; no file. It is
  // complete once `finish` was called.
  Result<TableWriter> fill(const std::string& table, std::vector<NewColumn> columns);

 private:
  struct Impl;
  explicit DuckdbSession(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::clients
