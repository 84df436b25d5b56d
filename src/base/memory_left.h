// How much memory a process may still take.
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <filesystem>

namespace sluice {

// Bytes that are to be had before anything is ended for want of memory: by the machine
// (MemAvailable of proc(5)), and by the control groups that this process is in (version 2 or 1,
// from its own up to the root). What these groups keep of files counts as free. 0 where nothing is
// known. `proc` and `groups` are where the system says so: another only in tests.
std::uint64_t memory_left(const std::filesystem::path& proc = "/proc",
                          const std::filesystem::path& groups = "/sys/fs/cgroup");

}  // namespace sluice
