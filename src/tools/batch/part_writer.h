// What is written of a part: its rows, each with the new columns.
//
// The part and the table of its answers are written side by side. Where nothing but columns is
// added to a table of the same format, old columns are not understood at all: of Parquet their
// chunks are copied, of CSV their lines, and only the new ones are written behind them.
//
// Thread-safety: functions; a session belongs to one thread at a time.
#pragma once

#include <memory>

#include "tools/batch/memory_files.h"
#include "tools/batch/output_rows.h"
#include "tools/batch/plan.h"

namespace sluice::tools::batch {

// The session's table of answers: Answers::table(), a row for each row of the part.
inline constexpr const char* kAnswersTable = "sluice_answers";

// `part`: its bytes as a table of its own. Errors: the session's; kUnavailable/`unwritable`.
Result<MadePart> make_part(const Plan& plan, std::size_t index, clients::DuckdbSession& session,
                           std::shared_ptr<const Fd> part, MemoryFiles& files,
                           const clients::SqlSubject& subject);

}  // namespace sluice::tools::batch
