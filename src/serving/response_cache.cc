#include "serving/response_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "serving/ghosts.h"
#include "serving/slot_index.h"

namespace sluice::serving {
namespace {

constexpr std::size_t kAlign = 64;
constexpr std::uint32_t kNone = SlotIndex::kNone;

constexpr std::size_t round_up(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// Memory behind what std::allocate_shared asks for, which is the counts and the object.
struct Behind {
  std::size_t bytes = 0;
  std::byte* memory = nullptr;  // set by the allocation
  std::size_t allocated = 0;    // with what is before it
};

// Writes to its `Behind` while std::allocate_shared lasts, and never looks at it again.
template <class T>
class WithMore {
 public:
  using value_type = T;

  explicit WithMore(Behind* behind) : behind_(behind) {}
  template <class U>
  explicit(false) WithMore(const WithMore<U>& other) : behind_(other.behind_) {}

  T* allocate(std::size_t count) {
    const std::size_t before = round_up(count * sizeof(T));
    behind_->allocated = before + behind_->bytes;
    void* memory = ::operator new(behind_->allocated, std::align_val_t(kAlign));
    behind_->memory = static_cast<std::byte*>(memory) + before;
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) noexcept {
    ::operator delete(memory, std::align_val_t(kAlign));
  }
  template <class U>
  bool operator==(const WithMore<U>&) const {
    return true;
  }

 private:
  template <class U>
  friend class WithMore;
  Behind* behind_;
};

// Where the parts of an answer lie behind one another.
struct Layout {
  explicit Layout(std::span<const TensorView> outputs) {
    std::size_t text = 0;
    std::size_t count = 0;
    for (const TensorView& output : outputs) {
      numbers += round_up(output.data.size());
      count += output.strings.size();
      for (const auto string : output.strings) text += string.size();
    }
    views = round_up(outputs.size_bytes());
    strings = round_up(count * sizeof(std::string_view));
    total = numbers + views + strings + text;
  }
  std::size_t numbers = 0;
  std::size_t views = 0;
  std::size_t strings = 0;
  std::size_t total = 0;  // with the texts, which come last
};

void copy(std::byte* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

using Answer = std::shared_ptr<const CachedAnswer>;

struct Entry {
  CacheKey key;
  Answer answer;
  TimePoint expires;
  std::uint32_t older = kNone;
  std::uint32_t newer = kNone;
  std::uint8_t uses = 0;  // since it was put or last spared; at most kMostUses
  bool main = false;      // which queue
};

// Entry, index, ghost, and what malloc adds to the answer.
constexpr std::size_t kEntryBytes = sizeof(Entry) + 56;

// An entry that was used this often leaves the queue of newcomers for the main one, and one entry
// in so many is a newcomer. The paper's 2 and 10, with 3 uses at most, hit half a point less on
// average, and two with bursts.
constexpr std::uint8_t kProven = 1;
constexpr std::size_t kNewcomerPart = 20;
constexpr std::uint8_t kMostUses = 7;

// A shard is not worth less than this.
constexpr std::size_t kLeastEntries = 1024;
constexpr std::size_t kLeastBytes = std::size_t{4} << 20;
constexpr std::size_t kMostShards = 64;

}  // namespace

struct CachedAnswer::Making {
  std::span<const TensorView> outputs;
  Layout layout{outputs};
  Behind behind{.bytes = layout.total};
};

std::shared_ptr<const CachedAnswer> CachedAnswer::copy_of(std::span<const TensorView> outputs) {
  // Nothing of what lies behind the object is destroyed, only freed.
  static_assert(std::is_trivially_destructible_v<TensorView>);
  Making making{outputs};
  return std::allocate_shared<CachedAnswer>(WithMore<CachedAnswer>(&making.behind), making);
}

CachedAnswer::CachedAnswer(const Making& making) : bytes_(making.behind.allocated + kEntryBytes) {
  const Layout& layout = making.layout;
  std::byte* numbers = making.behind.memory;
  std::byte* views = numbers + layout.numbers;
  std::byte* strings = views + layout.views;
  std::byte* text = strings + layout.strings;
  auto* view = reinterpret_cast<TensorView*>(views);
  auto* string = reinterpret_cast<std::string_view*>(strings);
  outputs_ = {view, making.outputs.size()};
  for (const TensorView& output : making.outputs) {
    TensorView& mine = *new (view++) TensorView(output);
    copy(numbers, output.data.data(), output.data.size());
    mine.data = {numbers, output.data.size()};
    numbers += round_up(output.data.size());
    mine.strings = {string, output.strings.size()};
    for (const auto from : output.strings) {
      copy(text, from.data(), from.size());
      new (string++) std::string_view(reinterpret_cast<const char*>(text), from.size());
      text += from.size();
    }
  }
}

// S3-FIFO (Yang and others, SOSP 2023). Newcomers go through a short queue; who was used there
// moves to the main queue, whose oldest is spared as often as it was used. Who leaves the short
// queue unused is remembered for a while, and goes to the main queue at once if it comes again.
class alignas(64) ResponseCache::Shard {
 public:
  // Before any other call, by one thread.
  void limit(std::size_t capacity, std::size_t max_bytes) {
    capacity_ = std::min<std::size_t>(capacity, std::uint32_t{1} << 30);
    max_bytes_ = max_bytes;
  }

  Answer find(const CacheKey& key, TimePoint now) {
    Answer expired;  // freed after the lock is gone
    const std::lock_guard lock(mutex_);
    const auto slot = slot_of(key);
    if (slot == kNone) return nullptr;
    Entry& entry = entries_[slot];
    if (entry.expires > now) {
      if (entry.uses < kMostUses) ++entry.uses;
      return entry.answer;
    }
    // What was worth keeping is so when it comes with its next answer.
    if (entry.main) ghosts_.add(key.low);
    expired = remove(slot);
    return nullptr;
  }

  void put(const CacheKey& key, Answer answer, TimePoint now, TimePoint expires) {
    std::vector<Answer> out;  // freed after the lock is gone
    const std::lock_guard lock(mutex_);
    const auto before = slot_of(key);
    bool main = ghosts_.take(key.low, table_.size());
    std::uint8_t uses = 0;
    if (before != kNone) {
      main = entries_[before].main;
      uses = entries_[before].uses;
      out.push_back(remove(before));
    }
    const std::size_t bytes = answer->bytes();
    if (bytes > max_bytes_ || capacity_ == 0) return;
    while (table_.size() >= capacity_ || bytes_ + bytes > max_bytes_) out.push_back(evict(now));
    const auto slot = free_slot();
    entries_[slot] = {
        .key = key, .answer = std::move(answer), .expires = expires, .uses = uses, .main = main};
    push(slot);
    table_.insert(hash_of(key), slot);
    bytes_ += bytes;
  }

  struct Counts {
    std::size_t entries;
    std::size_t bytes;
    std::uint64_t evictions;
  };
  Counts counts() {
    const std::lock_guard lock(mutex_);
    return {table_.size(), bytes_, evictions_};
  }

 private:
  struct Queue {
    std::uint32_t oldest = kNone;
    std::uint32_t newest = kNone;
    std::size_t size = 0;
  };

  static std::uint32_t hash_of(const CacheKey& key) { return static_cast<std::uint32_t>(key.low); }

  std::uint32_t slot_of(const CacheKey& key) const {
    return table_.find(hash_of(key), [&](auto slot) { return entries_[slot].key == key; });
  }

  Queue& queue_of(const Entry& entry) { return entry.main ? main_ : newcomers_; }

  std::uint32_t free_slot() {
    if (free_ == kNone) {
      entries_.emplace_back();
      return static_cast<std::uint32_t>(entries_.size() - 1);
    }
    return std::exchange(free_, entries_[free_].newer);
  }

  void push(std::uint32_t slot) {
    Entry& entry = entries_[slot];
    Queue& queue = queue_of(entry);
    entry.older = queue.newest;
    entry.newer = kNone;
    (queue.newest == kNone ? queue.oldest : entries_[queue.newest].newer) = slot;
    queue.newest = slot;
    ++queue.size;
  }

  void unlink(std::uint32_t slot) {
    const Entry& entry = entries_[slot];
    Queue& queue = queue_of(entry);
    (entry.older == kNone ? queue.oldest : entries_[entry.older].newer) = entry.newer;
    (entry.newer == kNone ? queue.newest : entries_[entry.newer].older) = entry.older;
    --queue.size;
  }

  Answer remove(std::uint32_t slot) {
    Entry& entry = entries_[slot];
    unlink(slot);
    table_.erase(hash_of(entry.key), slot);
    bytes_ -= entry.answer->bytes();
    entry.newer = std::exchange(free_, slot);
    return std::move(entry.answer);
  }

  // There is an entry. Ends because every turn of the loop moves one to the main queue for good or
  // takes a use from it.
  Answer evict(TimePoint now) {
    for (;;) {
      // The part counts against what is there, so that it also holds when bytes are short.
      const bool many_newcomers = newcomers_.size * kNewcomerPart > table_.size();
      const bool stale = main_.size > 0 && entries_[main_.oldest].expires <= now;
      const bool newcomer = main_.size == 0 || (many_newcomers && !stale);
      const auto slot = newcomer ? newcomers_.oldest : main_.oldest;
      Entry& entry = entries_[slot];
      if (entry.expires <= now) return remove(slot);
      if (newcomer ? entry.uses < kProven : entry.uses == 0) {
        ++evictions_;
        if (newcomer) {
          ghosts_.fit(entries_.size());
          ghosts_.add(entry.key.low);
        }
        return remove(slot);
      }
      unlink(slot);
      entry.uses = newcomer ? 0 : entry.uses - 1;
      entry.main = true;
      push(slot);
    }
  }

  std::size_t capacity_ = 0;
  std::size_t max_bytes_ = 0;

  std::mutex mutex_;
  // Guarded by `mutex_`.
  std::vector<Entry> entries_;  // in slots, which keep their numbers
  std::uint32_t free_ = kNone;  // slots without an entry, chained by `newer`
  SlotIndex table_;
  Queue newcomers_;
  Queue main_;
  Ghosts ghosts_;
  std::size_t bytes_ = 0;
  std::uint64_t evictions_ = 0;
};

ResponseCache::ResponseCache(std::size_t capacity, std::size_t max_bytes,
                             std::chrono::milliseconds ttl)
    : ttl_(std::max(ttl, std::chrono::milliseconds(0))),
      shard_count_(std::bit_floor(std::clamp<std::size_t>(
          std::min(capacity / kLeastEntries, max_bytes / kLeastBytes), 1, kMostShards))),
      shards_(std::make_unique<Shard[]>(shard_count_)) {
  const auto share = [&](std::size_t of, std::size_t i) {
    return of / shard_count_ + (i < of % shard_count_ ? 1 : 0);
  };
  for (std::size_t i = 0; i < shard_count_; ++i) {
    shards_[i].limit(share(capacity, i), share(max_bytes, i));
  }
}

ResponseCache::~ResponseCache() = default;

ResponseCache::Shard& ResponseCache::shard_of(const CacheKey& key) const {
  return shards_[key.high & (shard_count_ - 1)];
}

std::shared_ptr<const CachedAnswer> ResponseCache::find(const CacheKey& key, TimePoint now) const {
  return shard_of(key).find(key, now);
}

void ResponseCache::put(const CacheKey& key, std::shared_ptr<const CachedAnswer> answer,
                        TimePoint now) {
  const bool for_ever =
      ttl_ >= std::chrono::floor<std::chrono::milliseconds>(TimePoint::max() - now);
  shard_of(key).put(key, std::move(answer), now, for_ever ? TimePoint::max() : now + ttl_);
}

template <class Get>
std::uint64_t ResponseCache::sum(Get get) const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < shard_count_; ++i) total += shards_[i].counts().*get;
  return total;
}

std::size_t ResponseCache::entries() const { return sum(&Shard::Counts::entries); }
std::size_t ResponseCache::bytes() const { return sum(&Shard::Counts::bytes); }
std::uint64_t ResponseCache::evictions() const { return sum(&Shard::Counts::evictions); }

}  // namespace sluice::serving
