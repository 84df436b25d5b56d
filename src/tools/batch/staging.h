// Tables in object stores: fetched before the run that is told of in tools/batch/job.h, and sent
// after it. The run itself knows files alone.
//
//   <directory>/<job>/objects-…/     what was fetched, by its keys; the name says which content
//   <directory>/<job>/out/           the output, and its parts while they are made
//   <directory>/<job>/uploads/       notes of uploads in parts
//
// A job's folder is named by the input, the output and the shard, so that the same command finds
// it again; it is removed when all is done. Two processes never work in one.
//
// Thread-safety: each function works on threads of its own until it returns; `counts` and
// `transfer` may be read and `stop` set by any thread meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "tools/batch/job.h"

namespace sluice::tools::batch {

// What goes over the network just now.
struct Transfer {
  enum class Phase : std::uint8_t { kNone, kDownload, kUpload };
  std::atomic<Phase> phase{Phase::kNone};
  std::atomic<std::uint64_t> bytes{0};  // 0: not known yet
  std::atomic<std::uint64_t> bytes_done{0};

  void begin(Phase what, std::uint64_t all);
};

// `run_job`, with an input and an output that may be s3:// or gs://. Errors: as there; the store's;
// kInvalidArgument/`usage` for other URLs; kAborted/`busy`; kResourceExhausted/`no_room`;
// kFailedPrecondition/`other_run` where an object has changed since what is to be gone on with.
Result<Summary> run_staged(std::shared_ptr<const Servable> servable, JobOptions options,
                           const std::filesystem::path& directory, Counts& counts,
                           Transfer& transfer, const std::atomic<bool>& stop);

// `merge_shards`, of shards that may lie in a store beside the output; they are removed from there
// when the whole is.
Result<Summary> merge_staged(const std::filesystem::path& output,
                             const std::filesystem::path& directory, Counts& counts,
                             Transfer& transfer, const std::atomic<bool>& stop);

}  // namespace sluice::tools::batch
