// Lines of CSV or JSON lines that cannot be read as rows, found one by one: the engine for tables
// only says that a part has some. So a part is halved until they are apart.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "clients/duckdb_session.h"

namespace sluice::tools::batch {

struct BrokenLine {
  std::uint64_t place = 0;  // among the rows of the part, from 0
  std::string reason;       // shows nothing of what is in it
};

struct SortedLines {
  Fd bytes;                        // the part without them, as a file in memory
  std::vector<BrokenLine> broken;  // ascending; none where the fault is not in a line
};

// `part` is a table of its own, header and all. `read` makes the SELECT of all columns of such a
// file. Errors: those of the session that are not of the lines; kInvalidArgument/`bad_table` where
// most of many lines are broken: then it is another kind of file.
Result<SortedLines> sort_out(clients::DuckdbSession& session, const Fd& part,
                             const clients::SqlSubject& subject,
                             const std::function<std::string(const Fd&)>& read);

// What ends a run that is to fail at a bad row. `row`: row_words'.
Failure bad_row(const std::string& row, const std::string& reason);

// Whether sorting out may help.
bool of_lines(const Error& error, clients::TableFormat format);

}  // namespace sluice::tools::batch
