// Which objects a shard has to have: the parts of a Parquet file are known by its footer, so that
// of the others nothing but that is fetched.
//
// Thread-safety: functions without state; each works on threads of its own until it returns.
#pragma once

#include <atomic>
#include <filesystem>
#include <vector>

#include "sources/object_store.h"
#include "tools/batch/plan.h"

namespace sluice::tools::batch {

// The places in `objects` of those that hold parts of this shard. The others are made below
// `copies`, by their keys, as files of their size with a footer and holes. All of them where it
// cannot be known before they are there: text, a store that gives no ETags, or a single file.
// Errors: the store's; those of the files; kCancelled.
Result<std::vector<std::size_t>> objects_of_shard(sources::ObjectStore& store,
                                                  const std::vector<sources::Object>& objects,
                                                  const Shard& shard,
                                                  const std::filesystem::path& copies,
                                                  const std::atomic<bool>& stop);

}  // namespace sluice::tools::batch
