// How far a run has come.
//
// Thread-safety: written by the workers, read by anybody.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::tools::batch {

struct Counts {
  std::atomic<std::uint64_t> rows = 0;  // of this shard
  std::atomic<std::uint64_t> rows_done = 0;
  std::atomic<std::uint64_t> rows_found = 0;  // of them by an earlier run
  std::atomic<std::uint64_t> written = 0;
  std::atomic<std::uint64_t> bad = 0;
  std::atomic<std::uint64_t> parts = 0;
  std::atomic<std::uint64_t> parts_done = 0;
  std::atomic<bool> joining = false;
};

}  // namespace sluice::tools::batch
