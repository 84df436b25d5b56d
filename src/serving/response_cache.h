// The store behind the response cache: answers by a 128-bit key, for a while.
//
// Bounded by entries and by bytes, both exactly: each shard has its share of the two limits and
// makes room before it takes an entry. What goes first is decided by S3-FIFO, which keeps what is
// asked for often through scans of what is asked for once
// (docs/decisions/0020-s3-fifo.md has the measurements).
//
// The pipeline asks it before a run and gives it what came out. It knows no model and no request:
// whoever makes the key puts into it whatever an answer depends on, the version among it.
//
// Thread-safety: every function may be called from any thread. A CachedAnswer never changes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/request.h"
#include "core/tensor.h"

namespace sluice::serving {

// A good hash of everything that an answer depends on. Both halves must be spread evenly: shards
// and places are taken from their bits. Two questions with the same key get the same answer, so a
// hash that clients can steer must be keyed.
struct CacheKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const CacheKey&, const CacheKey&) = default;
};

// The outputs of a reply in memory of their own, a single allocation with the pointer's counts.
struct CachedAnswer {
  // Numeric elements begin at multiples of 64 bytes; strings are copied with their texts.
  static std::shared_ptr<const CachedAnswer> copy_of(std::span<const TensorView> outputs);

  // What it costs to keep it: its allocation, and the cache's own entry for it.
  std::size_t bytes() const { return bytes_; }
  // Views that live as long as this; copy them into the request's arena, not the elements.
  std::span<const TensorView> outputs() const { return outputs_; }

  struct Making;  // of copy_of alone
  explicit CachedAnswer(const Making& making);
  CachedAnswer(const CachedAnswer&) = delete;
  CachedAnswer& operator=(const CachedAnswer&) = delete;

 private:
  std::size_t bytes_;
  std::span<const TensorView> outputs_;
};

class ResponseCache {
 public:
  // At most `capacity` entries and `max_bytes` of CachedAnswer::bytes() together; an entry is found
  // until `ttl` after it was put, never with a `ttl` of 0, always with milliseconds::max().
  ResponseCache(std::size_t capacity, std::size_t max_bytes, std::chrono::milliseconds ttl);
  ~ResponseCache();
  ResponseCache(const ResponseCache&) = delete;
  ResponseCache& operator=(const ResponseCache&) = delete;

  // Null: not there, or not any more; an expired entry is removed. Allocates nothing.
  std::shared_ptr<const CachedAnswer> find(const CacheKey& key, TimePoint now) const;
  // Replaces what the key had. Keeps nothing when the answer is larger than a shard's share, which
  // is all of `max_bytes` below 8 MiB or 2048 entries and at least 4 MiB otherwise. `answer` is not
  // null.
  void put(const CacheKey& key, std::shared_ptr<const CachedAnswer> answer, TimePoint now);

  // Sums over the shards, each at its own moment. What expired counts until it is found or in the
  // way.
  std::size_t entries() const;
  std::size_t bytes() const;
  // How often an answer was thrown out to make room for another, expired ones apart.
  std::uint64_t evictions() const;

 private:
  class Shard;

  Shard& shard_of(const CacheKey& key) const;
  template <class Get>
  std::uint64_t sum(Get get) const;

  const std::chrono::milliseconds ttl_;
  const std::size_t shard_count_;  // a power of two
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace sluice::serving
