// A store of objects as a source of models.
//
// `list` never waits for the store after its first call: it answers the newest listing that is
// done, and the next is made on a thread of its own, which tells the watcher when it differs. The
// first call waits; where the store cannot be reached, it answers what the cache knows of it.
// `open` downloads what a version consists of into the cache, checks it and maps it.
//
// A version that is being uploaded is not seen until its objects have stayed the same from one
// listing to another, `settle` later, or a manifest.sha256 is among them: two looks at one listing
// would prove nothing.
//
// Thread-safety: that of Source.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/source.h"
#include "sources/layout.h"
#include "sources/object_store.h"

namespace sluice::sources {

struct RemoteOptions {
  std::filesystem::path cache_directory;
  std::uint64_t cache_bytes = std::uint64_t{10} << 30;
  std::chrono::milliseconds settle{1000};
  // Nobody polls: each `list` waits for the store, and believes what it says then.
  bool only_when_asked = false;
  int connections = 4;  // of one download
};

// Errors: where the cache cannot be used.
Result<std::unique_ptr<Source>> make_remote(Located located, Layout layout,
                                            const RemoteOptions& options);

}  // namespace sluice::sources
