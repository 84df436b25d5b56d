// One part of the input, from its bytes to the file of its answers.
//
// First the model's columns are read and answered, a batch at a time, into a table of the
// session's; then the part and that table are written side by side. So every row is answered in its
// place, and types, order, filters and formats are DuckDB's. Where nothing but columns is added to
// Parquet, the second step writes only those, and the old ones' bytes are copied.
//
// Thread-safety: one thread at a time, for each session one.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "tools/batch/journal.h"
#include "tools/batch/plan.h"

namespace sluice::tools::batch {

// How far it has come; written by the workers, read by anybody.
struct Counts {
  std::atomic<std::uint64_t> rows = 0;  // of this shard
  std::atomic<std::uint64_t> rows_done = 0;
  std::atomic<std::uint64_t> rows_found = 0;  // of them by an earlier run
  std::atomic<std::uint64_t> written = 0;
  std::atomic<std::uint64_t> bad = 0;
  std::atomic<std::uint64_t> parts = 0;
  std::atomic<std::uint64_t> parts_done = 0;
  std::atomic<bool> joining = false;
};

// Writes part `index` and notes it in the journal. Errors: the input's, the model's, the journal's;
// kInvalidArgument/`bad_row` for the first bad row where those end the run.
Result<void> run_part(const Plan& plan, std::size_t index, clients::DuckdbSession& session,
                      Journal& journal, Counts& counts);

}  // namespace sluice::tools::batch
