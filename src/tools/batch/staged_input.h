// What is read from a store: found by its names, fetched, checked.
//
// Thread-safety: functions without state; each works on threads of its own until it returns.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "sources/bucket.h"
#include "tools/batch/input.h"
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

// Fetches objects into the job's folder, by their keys; what is there of the same content is kept,
// and what is there of another is removed. Everything is held against the store's digests. Answers
// the folder. `versions`: of each object, what changes with its content. Errors: the store's;
// kResourceExhausted/`no_room`; kCancelled.
struct Copies {
  std::filesystem::path folder;
  std::vector<std::string> versions;
};
Result<Copies> fetch_objects(sources::ObjectStore& store,
                             const std::vector<sources::Object>& objects,
                             const StagingFolder& folder, Transfer& transfer,
                             const std::atomic<bool>& stop);

// The input of a URL. `parts`: the folder of parts that is to be gone on with, or empty: where they
// are of other objects that is told before anything is fetched (kFailedPrecondition/`other_run`).
Result<Input> stage_input(const std::string& url, const std::filesystem::path& parts,
                          const StagingFolder& folder, Transfer& transfer,
                          const std::atomic<bool>& stop);

}  // namespace sluice::tools::batch
