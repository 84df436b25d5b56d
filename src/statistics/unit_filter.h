// Has this unit been seen before? A Bloom filter (CACM 13, 1970): says so of a new one in fewer
// than one of a hundred cases up to half a million units, and then of either arm's alike.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::statistics {

class UnitFilter {
 public:
  // True: it is new, and seen from now on. `hash`: of the unit, all 64 bits as good as random.
  bool add(std::uint64_t hash) {
    if (bits_.empty()) bits_.resize(kWords);
    bool fresh = false;
    const std::uint64_t step = (hash >> 32) | 1;
    for (int i = 0; i < kProbes; ++i, hash += step) {
      std::uint64_t& word = bits_[hash % kWords];
      const std::uint64_t bit = std::uint64_t{1} << (hash / kWords % 64);
      fresh = fresh || (word & bit) == 0;
      word |= bit;
    }
    if (fresh) ++count_;
    return fresh;
  }
  // So many that it can hardly tell any more.
  bool full() const { return count_ > kCapacity; }

 private:
  static constexpr std::size_t kWords = 131'071;  // prime: 8.4 million bits
  static constexpr int kProbes = 4;
  static constexpr std::size_t kCapacity = 800'000;

  std::vector<std::uint64_t> bits_;  // made with the first unit: most releases have none
  std::size_t count_ = 0;
};

}  // namespace sluice::statistics
