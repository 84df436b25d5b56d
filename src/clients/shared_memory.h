// Shared memory of clients on this machine: regions that they register by name and pass tensors in.
//
// A region is read and written through its descriptor, never mapped: a client may shrink its region
// at any time, and touching a mapping behind its end would end the server (docs/decisions/0016).
// Keys are single names in the system's shared memory, never paths; messages show neither keys nor
// names.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"

namespace sluice::clients {

// A part of a registered region; `region` is empty where there is none.
struct MemoryRef {
  std::string_view region;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

class SharedMemory {
 public:
  static constexpr std::size_t kMaxRegions = 128;
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{2} << 30;

  struct Region {
    std::string name;
    std::string key;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };

  explicit SharedMemory(bool enabled) : enabled_(enabled) {}

  bool enabled() const { return enabled_; }
  // All functions below: kUnimplemented/`not_enabled` where it is off.
  Result<void> add(const Region& region);
  Result<void> remove(std::string_view name);
  Result<void> remove_all();
  // All regions, or the one with this name.
  Result<std::vector<Region>> list(std::string_view name) const;

  // A copy of the bytes, in `arena`. Errors: kInvalidArgument/`bad_shared_memory`.
  Result<std::span<const std::byte>> read(const MemoryRef& from, Arena& arena) const;
  Result<void> write(const MemoryRef& to, std::string_view bytes) const;

 private:
  struct Opened {
    Region region;
    Fd fd;
  };

  Result<void> check_enabled() const;
  Result<std::shared_ptr<const Opened>> find(const MemoryRef& part) const;

  const bool enabled_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, std::shared_ptr<const Opened>, std::less<>> regions_;
};

}  // namespace sluice::clients
