#include "features/feature_cache.h"

#include <utility>

namespace sluice::features {
namespace {

// Of an entry beside its row, about: list and table, the pointer's counts; and of what will be made
// of it for a model, a value.
constexpr std::size_t kOverhead = 288;
constexpr std::size_t kReady = 80;

}  // namespace

FeatureCache::FeatureCache(std::size_t bytes)
    : most_known_((bytes - bytes / 8) / kShards), most_unknown_(bytes / 8 / kShards) {}

FeatureCache::Found FeatureCache::find(const RowKey& key, TimePoint now) {
  if (most_known_ == 0) return {};
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  for (Lru* lru : {&shard.known, &shard.unknown}) {
    const auto place = lru->places.find(key);
    if (place == lru->places.end()) continue;
    Entry& entry = *place->second;
    if (now - entry.used > kStays) {
      lru->entries.splice(lru->entries.begin(), lru->entries, place->second);
      entry.used = now;
    }
    return entry.found;
  }
  return {};
}

void FeatureCache::put(const RowKey& key, std::shared_ptr<const KeptRow> row, TimePoint now) {
  if (most_known_ == 0) return;
  const std::size_t bytes = row->bytes() + kOverhead + row->values.size() * kReady;
  const bool known = row->known;
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  shard.known.remove(key);
  shard.unknown.remove(key);
  Entry entry{key, {std::move(row), now}, bytes, now};
  if (known) {
    shard.known.put(std::move(entry), most_known_);
  } else {
    shard.unknown.put(std::move(entry), most_unknown_);
  }
}

void FeatureCache::Lru::remove(const RowKey& key) {
  const auto place = places.find(key);
  if (place == places.end()) return;
  bytes -= place->second->bytes;
  entries.erase(place->second);
  places.erase(place);
}

void FeatureCache::Lru::put(Entry entry, std::size_t most) {
  if (entry.bytes > most) return;
  while (bytes + entry.bytes > most) remove(RowKey(entries.back().key));
  bytes += entry.bytes;
  const RowKey key = entry.key;
  entries.push_front(std::move(entry));
  places[key] = entries.begin();
}

std::size_t FeatureCache::entries() const {
  std::size_t out = 0;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    out += shard.known.entries.size() + shard.unknown.entries.size();
  }
  return out;
}

std::size_t FeatureCache::bytes() const {
  std::size_t out = 0;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    out += shard.known.bytes + shard.unknown.bytes;
  }
  return out;
}

}  // namespace sluice::features
