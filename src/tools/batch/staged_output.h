// What is written to a store: the output when it is whole, or a shard's folder.
//
// Thread-safety: functions without state; each works on threads of its own until it returns.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "sources/writable_store.h"
#include "tools/batch/staging.h"
#include "tools/batch/staging_folder.h"

namespace sluice::tools::batch {

// Whether something can be written there: an upload is begun and given up. What an earlier process
// left under way is given up as well unless it is to be gone on with. Errors: the store's;
// kNotFound/`no_such_object` where there is no such bucket.
Result<void> check_writable(sources::WritableStore& store, const std::string& key,
                            const StagingFolder& folder, bool resume);

// Sends the list of bad rows (or removes an old one), and then the output. Answers their bytes.
Result<std::uint64_t> upload_output(sources::WritableStore& store, const std::string& key,
                                    const std::filesystem::path& output,
                                    const StagingFolder& folder, Transfer& transfer,
                                    const std::atomic<bool>& stop);

// Sends a shard's finished folder, below `key` and a slash. What is there of another run is removed
// before, what is there already is not sent again, and the manifest comes last: where it is, all
// is. Answers the bytes of the files.
Result<std::uint64_t> upload_shard(sources::WritableStore& store, const std::string& key,
                                   const std::filesystem::path& parts, const StagingFolder& folder,
                                   Transfer& transfer, const std::atomic<bool>& stop);

// Several at a time.
Result<void> remove_objects(sources::WritableStore& store, const std::vector<std::string>& keys);

}  // namespace sluice::tools::batch
