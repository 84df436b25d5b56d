// Remembers 31 bits of the keys that left a cache lately: S3-FIFO's ghost queue.
//
// Four places for each hash, the oldest is overwritten. With an exact queue the hit ratio was the
// same and a look-up took 1.6 times as long (docs/decisions/0020-s3-fifo.md). A wrong answer, one
// in 500 million, puts a key into the wrong queue and does no other harm.
//
// Thread-safety: none; its owner locks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::serving {

class Ghosts {
 public:
  // Makes room for about this many; forgets all when it grows.
  void fit(std::size_t keys) {
    if (keys <= sets_.size() * kWays) return;
    std::size_t sets = 1;
    while (sets * kWays < keys + keys / 2) sets *= 2;
    sets_.assign(sets, {});
  }

  void add(std::uint64_t hash) {
    if (sets_.empty()) return;
    ++now_;
    Ghost* oldest = nullptr;
    for (Ghost& ghost : set_of(hash)) {
      if (oldest == nullptr || now_ - ghost.since > now_ - oldest->since) oldest = &ghost;
    }
    *oldest = {tag_of(hash), now_};
  }

  // Whether it is among the last `window` that were added; forgets it.
  bool take(std::uint64_t hash, std::size_t window) {
    if (sets_.empty()) return false;
    for (Ghost& ghost : set_of(hash)) {
      if (ghost.tag != tag_of(hash) || now_ - ghost.since >= window) continue;
      ghost = {};
      return true;
    }
    return false;
  }

 private:
  static constexpr std::size_t kWays = 4;
  struct Ghost {
    std::uint32_t tag = 0;  // never of a key
    std::uint32_t since = 0;
  };

  static std::uint32_t tag_of(std::uint64_t hash) {
    return static_cast<std::uint32_t>(hash >> 32) | 1;
  }
  std::array<Ghost, kWays>& set_of(std::uint64_t hash) { return sets_[hash & (sets_.size() - 1)]; }

  std::vector<std::array<Ghost, kWays>> sets_;
  std::uint32_t now_ = 0;
};

}  // namespace sluice::serving
