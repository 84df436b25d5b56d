// A whole run of `sluice batch`, and the joining of what its parts, or the shards of many machines,
// have left.
//
// Thread-safety: each function works on threads of its own until it returns; `counts` may be read
// and `stop` set by any thread meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/servable.h"
#include "tools/batch/part_run.h"
#include "tools/batch/plan.h"

namespace sluice::tools::batch {

struct Summary {
  std::uint64_t rows = 0;   // of this shard
  std::uint64_t found = 0;  // of them: answered by an earlier run
  std::uint64_t written = 0;
  std::uint64_t bad = 0;
  std::uint64_t not_finite = 0;  // of those written: whose answer is not a finite number
  std::size_t parts = 0;
  std::size_t all_parts = 0;           // of all shards
  std::uint64_t bytes = 0;             // of the output
  std::vector<std::string> first_bad;  // lines of the side file, in JSON
  std::string bad_rows;                // that file's name; empty: there is none
  bool stopped = false;                // before the end: go on with --resume
  bool joined = false;                 // the output is there
  bool pasted = false;                 // old columns were copied as bytes
  bool in_order = false;               // columns were taken without names
  std::size_t spoilt = 0;              // parts of an earlier run that had to be made again
  std::uint64_t downloaded = 0;        // bytes from a store
  std::uint64_t uploaded = 0;          // bytes to one
};

// Errors: those of make_plan and run_part; kFailedPrecondition/`other_run` where what is to be gone
// on with was another run, with what differs.
Result<Summary> run_job(std::shared_ptr<const Servable> servable, const JobOptions& options,
                        Counts& counts, const std::atomic<bool>& stop);

// Joins what shards left beside `output`, and removes it unless it is to be kept. Errors:
// kNotFound/`no_shards`; kFailedPrecondition/ `shard_missing`, `shard_unfinished` and `other_run`,
// with the shard.
Result<Summary> merge_shards(const std::filesystem::path& output, bool keep_parts, Counts& counts);

}  // namespace sluice::tools::batch
