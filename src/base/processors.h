// How many threads of this process can run at a time.
// Thread-safety: a function without state.
#pragma once

#include <filesystem>

namespace sluice {

// The processors that it may run on, or fewer where a control group gives it less time than theirs
// (a container's limit of 2.5 processors is 3). At least 1. `proc` and `groups` are where the
// system says so: another only in tests.
unsigned usable_processors(const std::filesystem::path& proc = "/proc",
                           const std::filesystem::path& groups = "/sys/fs/cgroup");

}  // namespace sluice
