// Fetches from one store: cache, single flight, grouping, time limits, circuit breaker.
//
// What the cache has is there at once, for whoever asks on any thread. The rest is asked for by a
// thread of the store's, which takes all that wait when it is free: concurrent requests share round
// trips without waiting for each other on purpose. An entity that is under way is not asked for
// twice. A request waits until its own time is over, and no longer; what comes later fills the
// cache. No I/O thread ever waits.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/feature_store.h"
#include "features/breaker.h"
#include "features/deadlines.h"
#include "features/feature_cache.h"
#include "features/gathering.h"
#include "features/stores.h"
#include "telemetry/buckets.h"
#include "telemetry/cells.h"
#include "telemetry/histogram.h"
#include "telemetry/sharded.h"

namespace sluice::features {

// A look-up as this store's reader knows it. Equal ones are one, so models share what is cached.
struct ReadLookup {
  FeatureLookup lookup;
  std::unique_ptr<const FeatureReader> reader;
  std::uint64_t id = 0;
};

// What has happened, for the metrics.
struct FetchCounts {
  std::uint64_t hits = 0;      // entities that the cache had, unknown ones among them
  std::uint64_t unknown = 0;   // of those
  std::uint64_t misses = 0;    // that it did not have
  std::uint64_t joined = 0;    // of those, that were under way for another request
  std::uint64_t fetches = 0;   // calls of the store
  std::uint64_t entities = 0;  // in them
  std::uint64_t failures = 0;  // of calls
  std::uint64_t late = 0;      // requests that did not wait any longer
  std::uint64_t refused = 0;   // requests that were not let through: open, or too many wait
  std::uint64_t openings = 0;  // of the breaker
  bool open = false;
  std::size_t cached_entries = 0;
  std::size_t cached_bytes = 0;
  std::size_t waiting = 0;             // entities
  Histogram<DurationBuckets> seconds;  // of calls
  std::uint64_t total_ns = 0;          // of calls
};

// Values one behind the other, each with its length in front: no two entities look alike.
std::string packed(EntityValues entity);

class Fetcher {
 public:
  Fetcher(const StoreOptions& options, std::shared_ptr<const FeatureStore> store);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  const std::string& name() const { return name_; }
  const FeatureStore& store() const { return *store_; }

  // Errors: those of FeatureStore::reader.
  Result<std::shared_ptr<const ReadLookup>> prepare(const FeatureLookup& lookup);
  // All that were prepared and are still used.
  std::vector<std::shared_ptr<const ReadLookup>> prepared() const;

  struct Terms {
    std::chrono::milliseconds ttl{0};
    std::chrono::milliseconds negative_ttl{0};
  };
  // One thing that the cache does not have.
  struct Want {
    std::shared_ptr<const ReadLookup> lookup;
    RowKey key;
    std::string entity;     // its values, each with its length in front
    std::size_t place = 0;  // in FetchedRows::rows
  };
  struct Recalled {
    std::shared_ptr<const KeptRow> row;  // null: neither
    bool fresh = false;                  // else it is past its time
    RowKey key;
  };
  // What the cache has.
  Recalled recall(const ReadLookup& lookup, EntityValues entity, const Terms& terms, TimePoint now);

  enum class Began : std::uint8_t {
    kRefused,  // the gathering's trouble says why nothing is asked for
    kWaits,    // the gathering, request and all, goes on by way of `ended`
  };
  // Asks the store for these, at least one.
  Began fetch(const std::shared_ptr<Gathering>& gathering, std::vector<Want> wants);

  // Called with gatherings that have all they will get and whose requests go on, on any thread.
  using Ended = std::function<void(std::vector<std::shared_ptr<Gathering>>)>;
  void on_ended(Ended ended) { ended_ = std::move(ended); }

  FetchCounts counts() const;
  // Nothing waits or runs any more when it returns.
  void close();

  // Entities that may wait; more are refused.
  static constexpr std::size_t kMostWaiting = 200'000;

 private:
  struct Waiter {
    std::shared_ptr<Gathering> gathering;
    std::size_t place;
  };
  // Mostly one waits.
  struct Flight {
    Waiter first;
    std::vector<Waiter> others;
    TimePoint until;  // the longest that one of them waits; whoever joins may raise it
  };
  // One entity that is to be asked for.
  struct Task {
    std::shared_ptr<const ReadLookup> lookup;
    RowKey key;
    std::string entity;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    // Who waits for what is under way; guarded by mutex.
    std::unordered_map<RowKey, Flight, RowKeyHash> flights;
  };
  struct Counters {
    Counter hits, unknown, misses, joined, fetches, entities, failures, late, refused, total_ns;
    Cells<DurationBuckets::kBlocks> seconds;
  };
  static constexpr std::size_t kShards = 64;

  Shard& shard_of(const RowKey& key) { return flights_[key.high % kShards]; }
  bool found_in_cache(Gathering& gathering, const Want& want, const RowKey& key, const Terms& terms,
                      TimePoint now);
  // Whether so many may be asked for now.
  Trouble refusal(std::size_t entities, TimePoint now);
  // True: it was under way already.
  bool join(const RowKey& key, Waiter waiter);
  void enqueue(std::vector<Task> tasks);
  // With the mutex held. Where the system has no thread to give, those that are there do the work,
  // and the clock answers for what they cannot.
  void start_worker();
  void work();
  // Takes what goes in one call: of one look-up, as many as a reader takes.
  std::vector<Task> take(std::unique_lock<std::mutex>& lock);
  void run(std::vector<Task> tasks);
  // True: nobody waits for it any more, and its flight has landed. Else `until` is raised to the
  // longest that somebody does.
  bool landed_late(const Task& task, TimePoint now, TimePoint& until,
                   std::vector<std::shared_ptr<Gathering>>& ready);
  // The rows of these tasks, for which somebody waits `until` then, or why there are none.
  Result<std::vector<FeatureRow>> read(const std::vector<Task>& tasks, TimePoint began,
                                       TimePoint until);
  static void settle_all(Flight flight, const std::shared_ptr<const KeptRow>& row, Trouble trouble,
                         std::vector<std::shared_ptr<Gathering>>& ready);
  static void settle(Waiter waiter, const std::shared_ptr<const KeptRow>& row, Trouble trouble,
                     std::vector<std::shared_ptr<Gathering>>& ready);
  void land(const Task& task, const std::shared_ptr<const KeptRow>& row, Trouble trouble,
            std::vector<std::shared_ptr<Gathering>>& ready);
  // What went wrong, as often as somebody can read it.
  void tell(const Error& error, TimePoint now);
  void count_call(std::size_t entities, std::chrono::nanoseconds took, bool ok);

  const std::string name_;
  const std::shared_ptr<const FeatureStore> store_;
  const std::size_t threads_;
  FeatureCache cache_;
  Breaker breaker_;
  Ended ended_;
  Deadlines deadlines_;
  mutable Sharded<Counters> counters_;
  std::array<Shard, kShards> flights_;

  std::atomic<TimePoint> next_told_{TimePoint::min()};

  mutable std::mutex preparing_;
  std::vector<std::weak_ptr<const ReadLookup>> lookups_;  // guarded by preparing_
  std::uint64_t next_id_ = 1;                             // guarded by preparing_

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  std::deque<Task> queue_;
  std::vector<std::thread> workers_;
  std::size_t idle_ = 0;
  bool closed_ = false;
};

}  // namespace sluice::features
