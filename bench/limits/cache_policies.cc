// What a cache should throw away: hit ratios and time per look-up of LRU, SIEVE, S3-FIFO and
// W-TinyLFU, and of our ResponseCache as it is, on the same seeded loads.
// bench_cache_policies [REQUESTS [KEYS]]
//
// A look-up that misses puts the key in. The ratio counts the requests that can hit (not the
// one-time keys of a scan) after the first quarter of the load. Everything is in 32-bit slots and
// behind the same index, so that times differ by what the policies do.

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "serving/response_cache.h"
#include "serving/slot_index.h"

namespace {

using sluice::serving::CachedAnswer;
using sluice::serving::CacheKey;
using sluice::serving::ResponseCache;
using sluice::serving::SlotIndex;
constexpr std::uint32_t kNone = SlotIndex::kNone;

std::uint64_t mix(std::uint64_t x) {  // splitmix64's
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// --- what the policies are made of -------------------------------------------------------------

struct Node {
  std::uint32_t key = 0;
  std::uint32_t older = kNone;
  std::uint32_t newer = kNone;
  std::uint8_t mark = 0;  // visited, or how often
  std::uint8_t part = 0;  // which list
};

struct List {
  std::uint32_t oldest = kNone;
  std::uint32_t newest = kNone;
  std::size_t size = 0;
};

// Nodes in slots, found by key.
class Store {
 public:
  explicit Store(std::size_t capacity) : nodes_(capacity + 1) {
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) free_.push_back(i);
  }
  Node& operator[](std::uint32_t slot) { return nodes_[slot]; }
  std::uint32_t find(std::uint32_t key) const {
    return table_.find(hash(key), [&](std::uint32_t slot) { return nodes_[slot].key == key; });
  }
  std::uint32_t add(std::uint32_t key) {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    nodes_[slot] = {.key = key};
    table_.insert(hash(key), slot);
    return slot;
  }
  void drop(std::uint32_t slot) {
    table_.erase(hash(nodes_[slot].key), slot);
    free_.push_back(slot);
  }
  void push(List& list, std::uint32_t slot) {
    nodes_[slot].older = list.newest;
    nodes_[slot].newer = kNone;
    (list.newest == kNone ? list.oldest : nodes_[list.newest].newer) = slot;
    list.newest = slot;
    ++list.size;
  }
  void unlink(List& list, std::uint32_t slot) {
    const Node& node = nodes_[slot];
    (node.older == kNone ? list.oldest : nodes_[node.older].newer) = node.newer;
    (node.newer == kNone ? list.newest : nodes_[node.newer].older) = node.older;
    --list.size;
  }
  std::uint32_t pop(List& list) {
    const std::uint32_t slot = list.oldest;
    unlink(list, slot);
    return slot;
  }

 private:
  static std::uint32_t hash(std::uint32_t key) { return static_cast<std::uint32_t>(mix(key)); }
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> free_;
  SlotIndex table_;
};

// --- the policies: `use` answers whether the key was there, and puts it in if not --------------

class Lru {
 public:
  static constexpr const char* kName = "LRU";
  explicit Lru(std::size_t capacity) : capacity_(capacity), store_(capacity) {}
  bool use(std::uint32_t key) {
    if (const auto slot = store_.find(key); slot != kNone) {
      store_.unlink(list_, slot);
      store_.push(list_, slot);
      return true;
    }
    if (list_.size == capacity_) store_.drop(store_.pop(list_));
    store_.push(list_, store_.add(key));
    return false;
  }

 private:
  std::size_t capacity_;
  Store store_;
  List list_;
};

// Zhang and others, NSDI 2024.
class Sieve {
 public:
  static constexpr const char* kName = "SIEVE";
  explicit Sieve(std::size_t capacity) : capacity_(capacity), store_(capacity) {}
  bool use(std::uint32_t key) {
    if (const auto slot = store_.find(key); slot != kNone) {
      store_[slot].mark = 1;
      return true;
    }
    if (list_.size == capacity_) evict();
    store_.push(list_, store_.add(key));
    return false;
  }

 private:
  void evict() {
    auto at = hand_ == kNone ? list_.oldest : hand_;
    while (store_[at].mark > 0) {
      store_[at].mark = 0;
      at = store_[at].newer == kNone ? list_.oldest : store_[at].newer;
    }
    hand_ = store_[at].newer;
    store_.unlink(list_, at);
    store_.drop(at);
  }
  std::size_t capacity_;
  Store store_;
  List list_;
  std::uint32_t hand_ = kNone;
};

// Yang and others, SOSP 2023: a tenth is a queue for newcomers, and what was thrown out of it
// lately is let into the main queue at once.
class S3Fifo {
 public:
  static constexpr const char* kName = "S3-FIFO";
  explicit S3Fifo(std::size_t capacity)
      : capacity_(capacity),
        small_limit_(std::max<std::size_t>(1, capacity / 10)),
        store_(capacity),
        ghosts_(capacity - small_limit_ + 1) {}
  bool use(std::uint32_t key) {
    if (const auto slot = store_.find(key); slot != kNone) {
      auto& mark = store_[slot].mark;
      if (mark < 3) ++mark;
      return true;
    }
    const auto ghost = ghosts_.find(key);
    if (ghost != kNone) {
      ghosts_.unlink(ghost_list_, ghost);
      ghosts_.drop(ghost);
    }
    while (small_.size + main_.size >= capacity_) {
      if (small_.size >= small_limit_ || main_.size == 0) {
        evict_small();
      } else {
        evict_main();
      }
    }
    store_.push(ghost != kNone ? main_ : small_, store_.add(key));
    return false;
  }

 private:
  void evict_small() {
    const auto slot = store_.pop(small_);
    if (store_[slot].mark > 1) {
      store_[slot].mark = 0;
      store_.push(main_, slot);
      return;
    }
    if (ghost_list_.size == capacity_ - small_limit_) ghosts_.drop(ghosts_.pop(ghost_list_));
    if (capacity_ > small_limit_) ghosts_.push(ghost_list_, ghosts_.add(store_[slot].key));
    store_.drop(slot);
  }
  void evict_main() {
    for (;;) {
      const auto slot = store_.pop(main_);
      if (store_[slot].mark == 0) return store_.drop(slot);
      --store_[slot].mark;
      store_.push(main_, slot);
    }
  }
  std::size_t capacity_;
  std::size_t small_limit_;
  Store store_;
  Store ghosts_;
  List small_, main_, ghost_list_;
};

// How often a key was asked for lately: four 4-bit counters (here in bytes), halved now and then.
class Sketch {
 public:
  explicit Sketch(std::size_t capacity) : period_(capacity * 10) {
    std::size_t width = 64;
    while (width < capacity * 4) width *= 2;
    counts_.resize(width);
  }
  void count(std::uint32_t key) {
    bool grew = false;
    for (const auto at : places(key)) {
      if (counts_[at] == 15) continue;
      ++counts_[at];
      grew = true;
    }
    if (!grew || ++counted_ < period_) return;
    for (auto& count : counts_) count /= 2;
    counted_ /= 2;
  }
  std::uint8_t of(std::uint32_t key) const {
    std::uint8_t least = 15;
    for (const auto at : places(key)) least = std::min(least, counts_[at]);
    return least;
  }

 private:
  // The four of a key are in one cache line, as in Caffeine.
  std::array<std::size_t, 4> places(std::uint32_t key) const {
    const auto hash = mix(key ^ 0x5bd1e995U);
    const auto block = ((hash >> 32) & (counts_.size() / 64 - 1)) * 64;
    return {block + (hash & 15), block + 16 + (hash >> 4 & 15), block + 32 + (hash >> 8 & 15),
            block + 48 + (hash >> 12 & 15)};
  }
  std::vector<std::uint8_t> counts_;
  std::size_t period_;
  std::size_t counted_ = 0;
};

// Einziger and others, 2017: newcomers pass a small LRU window (1 %), and then must have been asked
// for more often than what they would replace in the main part, an LRU of two segments. Without the
// hill climbing of Caffeine, which would widen the window where bursts come.
class WTinyLfu {
 public:
  static constexpr const char* kName = "W-TinyLFU";
  explicit WTinyLfu(std::size_t capacity)
      : window_limit_(std::max<std::size_t>(1, capacity / 100)),
        main_limit_(capacity - window_limit_),
        protected_limit_(main_limit_ * 4 / 5),
        store_(capacity),
        sketch_(capacity) {}
  bool use(std::uint32_t key) {
    sketch_.count(key);
    if (const auto slot = store_.find(key); slot != kNone) {
      touch(slot);
      return true;
    }
    if (lists_[kWindow].size == window_limit_) leave_window();
    move_to(kWindow, store_.add(key));
    return false;
  }

 private:
  enum : std::uint8_t { kWindow, kProbation, kProtected };
  void move_to(std::uint8_t part, std::uint32_t slot) {
    store_[slot].part = part;
    store_.push(lists_[part], slot);
  }
  void touch(std::uint32_t slot) {
    const auto part = store_[slot].part;
    store_.unlink(lists_[part], slot);
    move_to(part == kWindow ? kWindow : kProtected, slot);
    if (lists_[kProtected].size > protected_limit_) {
      move_to(kProbation, store_.pop(lists_[kProtected]));
    }
  }
  void leave_window() {
    const auto candidate = store_.pop(lists_[kWindow]);
    if (lists_[kProbation].size + lists_[kProtected].size < main_limit_) {
      return move_to(kProbation, candidate);
    }
    auto& from = lists_[kProbation].size > 0 ? lists_[kProbation] : lists_[kProtected];
    if (from.size == 0 ||
        sketch_.of(store_[candidate].key) <= sketch_.of(store_[from.oldest].key)) {
      return store_.drop(candidate);
    }
    store_.drop(store_.pop(from));
    move_to(kProbation, candidate);
  }
  std::size_t window_limit_;
  std::size_t main_limit_;
  std::size_t protected_limit_;
  Store store_;
  Sketch sketch_;
  std::array<List, 3> lists_;
};

// What Sluice has, S3-FIFO in shards of 1024 entries and more, with its locks and shared pointers;
// an answer is not made but given to it.
class Ours {
 public:
  static constexpr const char* kName = "ResponseCache";
  explicit Ours(std::size_t capacity)
      : answer_(CachedAnswer::copy_of({})),
        cache_(capacity, std::size_t{1} << 40, std::chrono::milliseconds::max()) {}
  bool use(std::uint32_t key) {
    const CacheKey hashed{mix(key), mix(~std::uint64_t{key})};
    if (cache_.find(hashed, {}) != nullptr) return true;
    cache_.put(hashed, answer_, {});
    return false;
  }

 private:
  std::shared_ptr<const CachedAnswer> answer_;
  ResponseCache cache_;
};

// --- loads -------------------------------------------------------------------------------------

enum class Kind : std::uint8_t { kPlain, kScans, kOneTime, kDrift, kBursts };
constexpr std::array kNames = {"Zipf", "Zipf, scans", "Zipf, one-time", "Zipf, drift",
                               "Zipf, bursts"};

struct Load {
  std::string name;
  std::size_t capacity;
  std::vector<std::uint32_t> keys;  // those from `once_from` on are never asked for again
  std::uint32_t once_from;
};

// Keys from 0 on, the most popular first.
class Zipf {
 public:
  Zipf(double alpha, std::uint32_t keys) : until_(keys) {
    for (std::uint32_t i = 0; i < keys; ++i) until_[i] = sum_ += std::pow(i + 1.0, -alpha);
  }
  std::uint32_t key(double random) const {
    const auto at = std::ranges::lower_bound(until_, random * sum_) - until_.begin();
    return static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(at, std::ssize(until_) - 1));
  }

 private:
  std::vector<double> until_;
  double sum_ = 0;
};

// With scans and one-time keys, a quarter of the requests is for keys that never come again: in
// runs as long as the cache, or anywhere. Drift renames a thousandth of the keys every thousandth
// of the load, so that at its end nothing is as popular as at its start. With bursts, half of the
// requests are for keys that come three times within about half of the cache's size and never
// again.
Load make_load(double alpha, Kind kind, std::size_t percent, std::size_t requests,
               std::uint32_t keys) {
  const Zipf zipf(alpha, keys);
  Load load{"", keys * percent / 100, {}, kind == Kind::kBursts ? kNone : 2 * keys};
  load.keys.reserve(requests);
  std::uint64_t state = 1;
  const auto random = [&] { return static_cast<double>(mix(state++) >> 11) * 0x1p-53; };
  const auto any = [&] { return static_cast<std::size_t>(random() * keys); };
  std::uint32_t once = 2 * keys;
  std::vector<std::uint32_t> named(keys);
  for (std::uint32_t i = 0; i < keys; ++i) named[i] = i;
  std::multimap<std::size_t, std::uint32_t> due;  // what comes again, and when
  while (load.keys.size() < requests) {
    const auto at = load.keys.size();
    if (kind == Kind::kDrift && at % std::max<std::size_t>(1, requests / 1000) == 0) {
      for (std::uint32_t i = 0; i < keys / 1000; ++i) std::swap(named[any()], named[any()]);
    }
    const bool scan = kind == Kind::kScans && at / load.capacity % 4 == 3;
    if (!due.empty() && due.begin()->first <= at) {
      load.keys.push_back(due.begin()->second);
      due.erase(due.begin());
    } else if (scan || (kind == Kind::kOneTime && random() < 0.25)) {
      load.keys.push_back(once++);
    } else if (kind == Kind::kBursts && random() < 0.25) {
      for (const double away : {0.1, 0.2}) {
        const double wait = -std::log(1 - random()) * away * static_cast<double>(load.capacity);
        due.emplace(at + 1 + static_cast<std::size_t>(wait), once);
      }
      load.keys.push_back(once++);
    } else {
      load.keys.push_back(named[zipf.key(random())]);
    }
  }
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "%s %.1f, %zu %%", kNames[static_cast<int>(kind)], alpha,
                percent);
  load.name = name.data();
  return load;
}

// --- measuring ---------------------------------------------------------------------------------

struct Measured {
  double ratio;
  double ns;
};

template <class Policy>
Measured measure(const Load& load) {
  Policy policy(load.capacity);
  const std::size_t warm = load.keys.size() / 4;
  for (std::size_t i = 0; i < warm; ++i) policy.use(load.keys[i]);
  std::size_t hits = 0;
  std::size_t asked = 0;
  const auto began = std::clock();  // the processor's time: others may use the machine
  for (std::size_t i = warm; i < load.keys.size(); ++i) {
    hits += policy.use(load.keys[i]) ? 1 : 0;
    asked += load.keys[i] < load.once_from ? 1 : 0;
  }
  const double seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  return {100.0 * static_cast<double>(hits) / static_cast<double>(asked),
          1e9 * seconds / static_cast<double>(load.keys.size() - warm)};
}

void row(const char* name, std::span<const Measured> all) {
  std::printf("| %s |", name);
  for (const Measured& one : all) std::printf(" %.2f / %.0f |", one.ratio, one.ns);
  std::printf("\n");
  std::fflush(stdout);
}

template <class... Policies>
void table(std::size_t requests, std::uint32_t keys) {
  constexpr std::size_t kCount = sizeof...(Policies);
  std::printf("%zu requests for %u keys; hits in %% / ns for each look-up\n\n| load |", requests,
              keys);
  (std::printf(" %s |", Policies::kName), ...);
  std::printf("\n|---|");
  for (std::size_t i = 0; i < kCount; ++i) std::printf("--:|");
  std::printf("\n");
  for (std::size_t kind = 0; kind < kNames.size(); ++kind) {
    std::array<Measured, kCount> mean{};
    for (const double alpha : {0.7, 0.9, 1.1}) {
      for (const std::size_t percent : {1, 10}) {
        const Load load = make_load(alpha, static_cast<Kind>(kind), percent, requests, keys);
        const std::array all = {measure<Policies>(load)...};
        row(load.name.c_str(), all);
        for (std::size_t i = 0; i < kCount; ++i) {
          mean[i].ratio += all[i].ratio / 6;
          mean[i].ns += all[i].ns / 6;
        }
      }
    }
    row((std::string("mean of ") + kNames[kind]).c_str(), mean);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto requests = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 5'000'000;
  const auto keys = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  if (requests < 1000 || requests > 1'000'000'000 || keys < 1000 || keys > 100'000'000) {
    std::fputs("usage: bench_cache_policies [REQUESTS (1000 and more) [KEYS (1000 and more)]]\n",
               stderr);
    return 2;
  }
  table<Lru, Sieve, S3Fifo, WTinyLfu, Ours>(requests, static_cast<std::uint32_t>(keys));
}
