// The columns of the input, and how SQL speaks of a part of it.
//
// Parquet says what its columns are. In CSV every field is read as the text that it is, and in JSON
// lines every value as the JSON that it is, so that nothing is lost on the way to a file of the
// same kind; where the output is of another kind, or a filter compares values, the columns' types
// are found by looking at all rows, once.
//
// Thread-safety: plain values; functions may be called by several threads, each with a session of
// its own.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "clients/duckdb_session.h"
#include "tools/batch/input.h"

namespace sluice::tools::batch {

struct Schema {
  clients::TableFormat format{};
  // As `raw_table` has them; those of the partition are the last.
  std::vector<clients::SqlColumn> raw;
  // As the output and filters have them: one for each.
  std::vector<clients::SqlColumn> typed;
  std::size_t of_partition = 0;
  bool cast = false;  // files of the table have a column in types that differ

  std::size_t find(std::string_view name) const;  // or npos; upper and lower case are the same
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};

// What messages about missing columns add where the names look as if the file were no CSV with
// commas and a line of names; else nothing.
std::string strange_names(const Schema& schema);

// What DuckDB calls equal names.
bool same_name(std::string_view a, std::string_view b);

// A table in SQL: the rows of this open part, with `schema.raw` for its columns.
std::string raw_table(const Schema& schema, const Fd& part, const InputFile& file);
// Column `index` of it as its typed value.
std::string typed_value(const Schema& schema, std::size_t index);

// The SELECT of all columns of one open file or part, as they are stored.
std::string stored_table(clients::TableFormat format, const Fd& part);
// Their names and types. Errors: DuckdbSession's.
Result<std::vector<clients::SqlColumn>> stored_columns(clients::DuckdbSession& session,
                                                       clients::TableFormat format, const Fd& part,
                                                       const clients::SqlSubject& subject);

// What the values of a part's columns can be, as far as its texts say. Merged over all parts.
struct Guess {
  std::vector<clients::SqlColumn> columns;
};
Result<Guess> guess_types(clients::DuckdbSession& session, const Schema& schema, const Fd& part,
                          const InputFile& file, const clients::SqlSubject& subject);
// Of parts in their order.
void settle_types(Schema& schema, std::span<const Guess> guesses);

}  // namespace sluice::tools::batch
