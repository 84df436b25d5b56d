// What this process takes of the machine (proc(5)).
// Thread-safety: a function without state.
#pragma once

#include <cstdint>

namespace sluice {

struct ProcessUsage {
  double cpu_seconds = 0;  // user and system
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t threads = 0;
  std::uint64_t open_files = 0;
  std::uint64_t most_open_files = 0;
  double started = 0;  // seconds since 1970
};

// Zeros where /proc does not tell.
ProcessUsage process_usage();

}  // namespace sluice
