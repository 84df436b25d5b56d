// What is behind a TableWriter: a table of its connection's that rows are appended to, and the file
// that is made of it where there is one. Only the duckdb_* files of this room include it.
//
// Thread-safety: one owner.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clients/duckdb.h"
#include "clients/duckdb_draft.h"
#include "clients/duckdb_engine.h"

namespace sluice::clients {

struct TableWriter::Impl {
  // `shown`: what messages call what is written.
  Impl(std::shared_ptr<DuckdbConnection> made, std::string table, std::string shown,
       std::vector<NewColumn> columns)
      : table(std::move(table)),
        shown(std::move(shown)),
        columns(std::move(columns)),
        connection(std::move(made)),
        appender(connection->library().appender_destroy),
        chunk(connection->library().destroy_data_chunk) {}

  // Makes the table, in place of one that has the name.
  Result<void> open();
  Result<void> start_chunk();
  Result<void> flush();
  Result<void> finish();
  DuckdbError appender_error() const;
  Failure failure(const DuckdbError& error) const;

  // The place of the next cell if it may have this type, or nothing.
  duckdb_vector cell(CellType type);
  template <class Value>
  void plain(CellType type, Value value);
  template <class Value>
  void list(CellType type, std::span<const Value> values);
  void misfit(Failure failure);
  Result<void> end_row();
  void forget_row();

  std::optional<FileDraft> draft;  // nothing: the table is all that is wanted
  std::string table;
  std::string shown;
  std::vector<NewColumn> columns;
  std::shared_ptr<DuckdbConnection> connection;
  Held<duckdb_appender, duckdb_state> appender;
  Held<duckdb_data_chunk> chunk;
  std::vector<duckdb_vector> vectors;  // of the chunk
  std::vector<idx_t> list_sizes;       // of the chunk's columns
  idx_t row = 0;                       // of the chunk
  std::size_t column = 0;              // the next cell's
  std::uint64_t rows = 0;
  std::uint64_t appended = 0;          // bytes of them that the table may not have yet
  std::optional<Failure> row_failure;  // the first of this row
  std::optional<Failure> lost;         // the table's, for good
};

}  // namespace sluice::clients
