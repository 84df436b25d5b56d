// Which part of the work is this process's: said by --shard, or by who started it.
//
// Thread-safety: functions without state.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "tools/batch/plan.h"

namespace sluice::app {

// Looks up a variable of the environment.
using Variable = std::function<std::optional<std::string>(const char* name)>;

// `text`: "2/8", the second of eight; empty: asked of the environment: Kubernetes' Indexed Jobs
// (JOB_COMPLETION_INDEX, with the number in `shards` or JOB_COMPLETIONS), Slurm's arrays
// (SLURM_ARRAY_TASK_ID, _COUNT, _MIN, _STEP) and Open MPI (OMPI_COMM_WORLD_RANK, _SIZE). The whole
// where nobody says anything. Errors: kInvalidArgument/`usage`.
Result<tools::batch::Shard> find_shard(const std::string& text, std::size_t shards,
                                       const Variable& variable);

}  // namespace sluice::app
