// Where a run and its shards keep what they make, and which part of it is whose.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "tools/batch/plan.h"

namespace sluice::tools::batch {

// Where a shard keeps its parts.
std::filesystem::path folder_of(const std::filesystem::path& output, const Shard& shard);
// Where bad rows are listed.
std::filesystem::path bad_rows_file(const std::filesystem::path& output);

// The parts of a shard: neighbours, so that merging is joining.
struct PartRange {
  std::size_t first;
  std::size_t last;
};
PartRange range_of(const Shard& shard, std::size_t parts);

// "shard 1 of 3"
std::string shard_name(const Shard& shard);

// How many shards there were, by the names of all that lies beside the output. Errors:
// kNotFound/`no_shards`; kFailedPrecondition/`other_run` for those of several runs.
Result<std::size_t> count_shards(const std::string& output, const std::vector<std::string>& names);

Failure shard_missing(const Shard& shard);
Failure other_run(const std::string& what, const std::string& where);

}  // namespace sluice::tools::batch
