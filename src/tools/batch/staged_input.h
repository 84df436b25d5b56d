// What is read from a store: found by its names, fetched, checked.
//
// Thread-safety: functions without state; each works on threads of its own until it returns.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "sources/bucket.h"
#include "tools/batch/plan.h"
#include "tools/batch/staging.h"
#include "tools/batch/staging_folder.h"

namespace sluice::tools::batch {

// The objects that `path` (of the URL, below the bucket) means, as find_input means files, in
// natural order. `base` is where the names of partitions count from. Errors: the store's;
// kNotFound/`no_table`; kInvalidArgument/`bad_table` for several kinds of tables.
struct FoundObjects {
  std::vector<sources::Object> objects;
  std::filesystem::path base;
};
Result<FoundObjects> find_objects(sources::WritableStore& store, const std::string& path);

// Where copies of these objects lie in the job's folder. What is there of others is removed.
// Errors: those of the disk.
Result<std::filesystem::path> copies_folder(const std::vector<sources::Object>& objects,
                                            const StagingFolder& folder);

// Fetches objects into a folder of copies, by their keys; what is there of them is kept. Everything
// is held against the store's digests. Answers what changes with each one's content: its ETag,
// where it has one. Errors: the store's; kResourceExhausted/`no_room`; kCancelled.
Result<std::vector<std::string>> fetch_objects(sources::ObjectStore& store,
                                               const std::vector<sources::Object>& objects,
                                               const std::filesystem::path& copies,
                                               const StagingFolder& folder, Transfer& transfer,
                                               const std::atomic<bool>& stop);

struct StageRequest {
  std::string url;
  Shard shard;
  // The folder of parts that is to be gone on with, or empty.
  std::filesystem::path parts;
  // The object that will be written, by its bucket's identity and its key, or empty.
  std::string output;
};
struct StagedInput {
  Input input;
  std::uint64_t bytes = 0;  // of the objects that were fetched
};
// The input of a URL, as far as this shard reads it. Told before anything is fetched:
// kFailedPrecondition/`other_run` where the parts are of other objects; kInvalidArgument/`usage`
// where the output is one of them.
Result<StagedInput> stage_input(const StageRequest& request, const StagingFolder& folder,
                                Transfer& transfer, const std::atomic<bool>& stop);

}  // namespace sluice::tools::batch
