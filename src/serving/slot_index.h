// Finds a slot by hash: the index of the response cache, and of the policies that it is measured
// against.
//
// Open addressing with linear probing. It knows slot numbers and 32 bits of each hash; the keys are
// with their owner, who is asked only where the bits agree. Removal moves followers back, so there
// are no tombstones and nothing to clean up. It grows by doubling and never shrinks.
//
// Thread-safety: none; its owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace sluice::serving {

class SlotIndex {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  // The slot with this hash for which `is_it(slot)`; kNone.
  template <class IsIt>
  std::uint32_t find(std::uint32_t hash, IsIt is_it) const {
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Place& place = places_[at];
      if (place.slot == kNone) return kNone;
      if (place.hash == hash && is_it(place.slot)) return place.slot;
    }
  }

  // `slot` is not in it yet.
  void insert(std::uint32_t hash, std::uint32_t slot) {
    // At most five eighths full: longer runs cost more than the memory saves.
    if ((size_ + 1) * 8 > places_.size() * 5) grow();
    ++size_;
    place({hash, slot});
  }

  // `slot` is in it, with this hash.
  void erase(std::uint32_t hash, std::uint32_t slot) {
    std::size_t hole = hash & mask_;
    while (places_[hole].slot != slot) hole = (hole + 1) & mask_;
    for (std::size_t at = (hole + 1) & mask_; places_[at].slot != kNone; at = (at + 1) & mask_) {
      // What is at home behind the hole stays where it is.
      const std::size_t from_home = (at - places_[at].hash) & mask_;
      if (from_home < ((at - hole) & mask_)) continue;
      places_[hole] = places_[at];
      hole = at;
    }
    places_[hole].slot = kNone;
    --size_;
  }

  std::size_t size() const { return size_; }

 private:
  struct Place {
    std::uint32_t hash = 0;
    std::uint32_t slot = kNone;
  };

  void place(Place what) {
    std::size_t at = what.hash & mask_;
    while (places_[at].slot != kNone) at = (at + 1) & mask_;
    places_[at] = what;
  }

  void grow() {
    const auto before = std::exchange(places_, std::vector<Place>(places_.size() * 2));
    mask_ = places_.size() - 1;
    for (const Place& old : before) {
      if (old.slot != kNone) place(old);
    }
  }

  std::vector<Place> places_ = std::vector<Place>(16);
  std::size_t mask_ = 15;
  std::size_t size_ = 0;
};

}  // namespace sluice::serving
