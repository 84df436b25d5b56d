// Rows of features by a 128-bit key, the least recently used of them forgotten first.
//
// Bounded by bytes, each shard with its share. Entities that a store does not know have an eighth
// of the room and go by themselves, so that a flood of made-up names does not push out what is
// asked for. A row is kept past the time in which it may be used: whoever asks gets it with the
// time when it was fetched, and decides.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "features/kept_row.h"

namespace sluice::features {

// A hash that clients cannot steer, of everything that tells two rows apart.
struct RowKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const RowKey&, const RowKey&) = default;
};
struct RowKeyHash {
  std::size_t operator()(const RowKey& key) const { return key.low; }
};

class FeatureCache {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Found {
    std::shared_ptr<const KeptRow> row;  // null: not there
    TimePoint fetched{};
  };

  // `bytes` of 0: nothing is kept.
  explicit FeatureCache(std::size_t bytes);

  Found find(const RowKey& key, TimePoint now);
  // Replaces what the key had. Keeps nothing larger than a shard's share.
  void put(const RowKey& key, std::shared_ptr<const KeptRow> row, TimePoint now);

  // Sums over the shards, each at its own moment.
  std::size_t entries() const;
  std::size_t bytes() const;

 private:
  struct Entry {
    RowKey key;
    Found found;
    std::size_t bytes;
    TimePoint used;  // when it was put in front
  };
  // Used again within this time it stays where it is: whoever is asked for all the time need not be
  // moved each time.
  static constexpr std::chrono::milliseconds kStays{100};
  // The most recently used in front.
  struct Lru {
    std::list<Entry> entries;
    std::unordered_map<RowKey, std::list<Entry>::iterator, RowKeyHash> places;
    std::size_t bytes = 0;

    void remove(const RowKey& key);
    void put(Entry entry, std::size_t most);
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    Lru known;    // guarded by mutex
    Lru unknown;  // guarded by mutex
  };
  static constexpr std::size_t kShards = 64;

  Shard& shard_of(const RowKey& key) { return shards_[key.high % kShards]; }

  const std::size_t most_known_;  // bytes of a shard
  const std::size_t most_unknown_;
  std::array<Shard, kShards> shards_;
};

}  // namespace sluice::features
