// The parts' files, one after the other, become the output. A reader sees it whole or not at all.
//
// Thread-safety: functions without state.
#pragma once

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "clients/duckdb_files.h"
#include "tools/batch/journal.h"

namespace sluice::tools::batch {

// Errors: kUnavailable/`unwritable`, `unreadable`. Answers the output's bytes.
Result<std::uint64_t> join_parts(const std::vector<std::filesystem::path>& parts,
                                 clients::TableFormat format, const std::filesystem::path& output);

}  // namespace sluice::tools::batch
