// One part of the input, from its bytes to its rows with the answers.
//
// First the model's columns are read and answered, a batch at a time, into a table of the
// session's; then the part and that table are written side by side. So every row is answered in its
// place, and types, order, filters and formats are DuckDB's. Where bad rows do not end the run,
// lines that are none are sorted out, and it is begun again.
//
// Thread-safety: one thread at a time, for each session one.
#pragma once

#include <cstddef>

#include "tools/batch/counts.h"
#include "tools/batch/journal.h"
#include "tools/batch/memory_files.h"
#include "tools/batch/output_rows.h"
#include "tools/batch/plan.h"

namespace sluice::tools::batch {

struct PartFiles {
  MemoryFiles read{"part"};
  MemoryFiles written{"rows"};
};

// What has become of a part.
struct PartAnswered {
  PartDone done;  // of it, how many
  MadePart made;
  std::string bad_lines;
};

// Answers part `index`. Errors: the input's and the model's; kInvalidArgument/`bad_row` for the
// first bad row where those end the run.
Result<PartAnswered> run_part(const Plan& plan, std::size_t index, clients::DuckdbSession& session,
                              PartFiles& files, Counts& counts);

}  // namespace sluice::tools::batch
