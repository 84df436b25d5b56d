#include "features/fetcher.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>

#include "base/keyed_hash.h"
#include "base/log.h"

namespace sluice::features {
namespace {

using Clock = std::chrono::steady_clock;

// A call is not broken off with the first that has waited long enough: what comes a little later
// answers the next who asks.
constexpr std::chrono::milliseconds kGrace{200};
// Between two lines of the log about one store.
constexpr std::chrono::seconds kBetweenLines{10};

void put_number(std::string& to, std::uint64_t number) {
  to.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void pack(std::string& to, EntityValues entity) {
  for (const auto value : entity) {
    put_number(to, value.size());
    to.append(value);
  }
}

// What `pack` wrote, as views of it.
void unpack(std::string_view bytes, std::vector<std::string_view>& out) {
  while (!bytes.empty()) {
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof(size));
    out.push_back(bytes.substr(sizeof(size), size));
    bytes.remove_prefix(sizeof(size) + size);
  }
}

RowKey key_of(std::uint64_t lookup, EntityValues entity) {
  thread_local std::string bytes;
  bytes.clear();
  put_number(bytes, lookup);
  pack(bytes, entity);
  const auto hash = keyed_hash(bytes);
  return {hash.high, hash.low};
}

Trouble trouble_of(const Error& error) {
  if (error.code == Code::kDeadlineExceeded) return Trouble::kLate;
  return error.code == Code::kUnavailable ? Trouble::kDown : Trouble::kBroken;
}

}  // namespace

std::string packed(EntityValues entity) {
  std::string out;
  pack(out, entity);
  return out;
}

Fetcher::Fetcher(const StoreOptions& options, std::shared_ptr<const FeatureStore> store)
    : name_(options.name),
      store_(std::move(store)),
      threads_(static_cast<std::size_t>(options.connections)),
      cache_(options.cache.value),
      deadlines_([this](std::vector<std::shared_ptr<Gathering>> due) {
        auto mine = counters_.mine();
        mine.bump(&Counters::late, due.size());
        for (const auto& each : due) each->trouble.store(Trouble::kLate);
        ended_(std::move(due));
      }) {}

Fetcher::~Fetcher() { close(); }

Result<std::shared_ptr<const ReadLookup>> Fetcher::prepare(const FeatureLookup& lookup) {
  const std::lock_guard lock(preparing_);
  for (const auto& each : lookups_) {
    if (auto there = each.lock(); there != nullptr && there->lookup == lookup) return there;
  }
  std::erase_if(lookups_, [](const auto& each) { return each.expired(); });
  SLUICE_TRY(auto reader, store_->reader(lookup));
  auto made = std::make_shared<const ReadLookup>(lookup, std::move(reader), next_id_++);
  lookups_.push_back(made);
  return made;
}

std::vector<std::shared_ptr<const ReadLookup>> Fetcher::prepared() const {
  std::vector<std::shared_ptr<const ReadLookup>> out;
  const std::lock_guard lock(preparing_);
  for (const auto& each : lookups_) {
    if (auto there = each.lock()) out.push_back(std::move(there));
  }
  return out;
}

Fetcher::Recalled Fetcher::recall(const ReadLookup& lookup, EntityValues entity, const Terms& terms,
                                  TimePoint now) {
  Recalled out;
  out.key = key_of(lookup.id, entity);
  auto found = cache_.find(out.key, now);
  auto mine = counters_.mine();
  if (found.row != nullptr) {
    const auto ttl = found.row->known ? terms.ttl : std::min(terms.ttl, terms.negative_ttl);
    out.fresh = now - found.fetched < ttl;
    out.row = std::move(found.row);
  }
  mine.bump(out.fresh ? &Counters::hits : &Counters::misses, 1);
  if (out.fresh && !out.row->known) mine.bump(&Counters::unknown, 1);
  return out;
}

bool Fetcher::join(const RowKey& key, Waiter waiter) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto [flight, made] = shard.flights.try_emplace(key);
  flight->second.until = std::max(flight->second.until, waiter.gathering->due);
  if (made) {
    flight->second.first = std::move(waiter);
  } else {
    flight->second.others.push_back(std::move(waiter));
  }
  return !made;
}

Fetcher::Began Fetcher::fetch(const std::shared_ptr<Gathering>& gathering,
                              std::vector<Want> wants) {
  auto mine = counters_.mine();
  if (const auto trouble = refusal(wants.size(), Clock::now()); trouble != Trouble::kNone) {
    mine.bump(&Counters::refused, 1);
    gathering->trouble.store(trouble);
    return Began::kRefused;
  }
  gathering->arrived.resize(gathering->fetched->rows.size());
  // It counts one more until all of it waits: nobody may take the request, and its memory, before.
  gathering->missing.store(wants.size() + 1, std::memory_order_relaxed);
  std::vector<Task> tasks;
  for (auto& want : wants) {
    if (join(want.key, {gathering, want.place})) continue;
    tasks.push_back({std::move(want.lookup), want.key, std::move(want.entity)});
  }
  mine.bump(&Counters::joined, wants.size() - tasks.size());
  enqueue(std::move(tasks));
  deadlines_.add(gathering);
  if (gathering->missing.fetch_sub(1, std::memory_order_acq_rel) == 1 && gathering->take()) {
    ended_({gathering});
  }
  return Began::kWaits;
}

Trouble Fetcher::refusal(std::size_t entities, TimePoint now) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return Trouble::kDown;
    if (queue_.size() + entities > kMostWaiting) return Trouble::kBusy;
  }
  return breaker_.allows(now) ? Trouble::kNone : Trouble::kDown;
}

void Fetcher::enqueue(std::vector<Task> tasks) {
  if (tasks.empty()) return;
  std::size_t wake = 0;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    for (auto& task : tasks) queue_.push_back(std::move(task));
    if (workers_.size() < threads_ && idle_ == 0) start_worker();
    wake = std::min(
        idle_, (queue_.size() + FeatureReader::kMostEntities - 1) / FeatureReader::kMostEntities);
  }
  for (; wake > 0; --wake) wake_.notify_one();
}

void Fetcher::start_worker() {
  try {
    workers_.emplace_back([this] {
      ::pthread_setname_np(::pthread_self(), ("fetch " + name_).substr(0, 15).c_str());
      work();
    });
  } catch (const std::system_error&) {
    log::error("feature store '" + name_ + "': the system has no thread left for it");
  }
}

std::vector<Fetcher::Task> Fetcher::take(std::unique_lock<std::mutex>& lock) {
  std::vector<Task> out;
  while (queue_.empty() && !closed_) {
    ++idle_;
    wake_.wait(lock);
    --idle_;
  }
  if (closed_) return out;
  const auto lookup = queue_.front().lookup;
  while (!queue_.empty() && queue_.front().lookup == lookup &&
         out.size() < FeatureReader::kMostEntities) {
    out.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  // Another look-up need not wait for this one's round trip.
  if (!queue_.empty() && idle_ > 0) wake_.notify_one();
  return out;
}

void Fetcher::work() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    auto tasks = take(lock);
    if (tasks.empty()) continue;
    lock.unlock();
    run(std::move(tasks));
    lock.lock();
  }
}

void Fetcher::run(std::vector<Task> tasks) {
  std::vector<std::shared_ptr<Gathering>> ready;
  const auto began = Clock::now();
  auto until = began;
  // Nobody waits for these any more: a store that was slow would never catch up with them.
  std::erase_if(tasks, [&](const Task& task) { return landed_late(task, began, until, ready); });
  if (!tasks.empty()) {
    auto rows = read(tasks, began, until);
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (!rows) {
        land(tasks[i], nullptr, trouble_of(rows.error()), ready);
        continue;
      }
      const auto row = std::make_shared<const KeptRow>(std::move((*rows)[i]));
      // What cannot be read is not kept: it may be put right any moment.
      const bool sound = std::ranges::none_of(row->values, [](const FeatureValue& value) {
        return std::holds_alternative<Unreadable>(value.data);
      });
      if (sound) cache_.put(tasks[i].key, row, began);
      land(tasks[i], row, Trouble::kNone, ready);
    }
  }
  if (!ready.empty()) ended_(std::move(ready));
}

bool Fetcher::landed_late(const Task& task, TimePoint now, TimePoint& until,
                          std::vector<std::shared_ptr<Gathering>>& ready) {
  Flight flight;
  {
    // Looked at and taken out under one lock: who comes in between would be late with the others.
    Shard& shard = shard_of(task.key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.flights.find(task.key);
    if (found == shard.flights.end()) return true;
    if (found->second.until >= now) {
      until = std::max(until, found->second.until);
      return false;
    }
    flight = std::move(found->second);
    shard.flights.erase(found);
  }
  settle_all(std::move(flight), nullptr, Trouble::kLate, ready);
  return true;
}

Result<std::vector<FeatureRow>> Fetcher::read(const std::vector<Task>& tasks, TimePoint began,
                                              TimePoint until) {
  const std::size_t keys = tasks[0].lookup->lookup.keys.size();
  std::vector<std::string_view> values;
  values.reserve(tasks.size() * keys);
  std::vector<EntityValues> entities;
  entities.reserve(tasks.size());
  for (const auto& task : tasks) {
    unpack(task.entity, values);
    entities.emplace_back(values.data() + entities.size() * keys, keys);
  }
  std::vector<FeatureRow> rows(tasks.size());
  auto read = tasks[0].lookup->reader->read(entities, rows, until + kGrace);
  const auto ended = Clock::now();
  count_call(tasks.size(), ended - began, read.has_value());
  if (read) {
    breaker_.succeeded();
    return rows;
  }
  // One that refuses a look-up is there: others' are not to suffer for it.
  if (trouble_of(read.error()) == Trouble::kBroken) {
    breaker_.succeeded();
  } else {
    breaker_.failed(ended);
  }
  tell(read.error(), ended);
  return Failure(std::move(read).error());
}

void Fetcher::tell(const Error& error, TimePoint now) {
  auto next = next_told_.load(std::memory_order_relaxed);
  if (now < next || !next_told_.compare_exchange_strong(next, now + kBetweenLines)) return;
  log::warn("feature store '" + name_ + "': " + error.message +
            (breaker_.open() ? "; it is left alone for a while" : ""));
}

void Fetcher::land(const Task& task, const std::shared_ptr<const KeptRow>& row, Trouble trouble,
                   std::vector<std::shared_ptr<Gathering>>& ready) {
  Flight flight;
  {
    Shard& shard = shard_of(task.key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.flights.find(task.key);
    if (found == shard.flights.end()) return;
    flight = std::move(found->second);
    shard.flights.erase(found);
  }
  settle_all(std::move(flight), row, trouble, ready);
}

void Fetcher::settle_all(Flight flight, const std::shared_ptr<const KeptRow>& row, Trouble trouble,
                         std::vector<std::shared_ptr<Gathering>>& ready) {
  settle(std::move(flight.first), row, trouble, ready);
  for (auto& waiter : flight.others) settle(std::move(waiter), row, trouble, ready);
}

void Fetcher::settle(Waiter waiter, const std::shared_ptr<const KeptRow>& row, Trouble trouble,
                     std::vector<std::shared_ptr<Gathering>>& ready) {
  Gathering& gathering = *waiter.gathering;
  // One that was taken by the clock is somebody else's by now.
  if (gathering.taken.load(std::memory_order_acquire)) return;
  gathering.arrived[waiter.place] = row;
  if (trouble != Trouble::kNone) gathering.trouble.store(trouble);
  if (gathering.missing.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (gathering.take()) ready.push_back(std::move(waiter.gathering));
}

void Fetcher::count_call(std::size_t entities, std::chrono::nanoseconds took, bool ok) {
  const auto ns = static_cast<std::uint64_t>(took.count());
  auto mine = counters_.mine();
  mine.bump(&Counters::fetches, 1);
  mine.bump(&Counters::entities, entities);
  mine.bump(&Counters::total_ns, ns);
  if (!ok) mine.bump(&Counters::failures, 1);
  mine.bump(mine.shard.seconds.at(DurationBuckets::of(ns)), 1);
}

FetchCounts Fetcher::counts() const {
  FetchCounts out;
  counters_.each([&](const Counters& each) {
    out.hits += each.hits.value();
    out.unknown += each.unknown.value();
    out.misses += each.misses.value();
    out.joined += each.joined.value();
    out.fetches += each.fetches.value();
    out.entities += each.entities.value();
    out.failures += each.failures.value();
    out.late += each.late.value();
    out.refused += each.refused.value();
    out.total_ns += each.total_ns.value();
    each.seconds.each(
        [&](std::size_t bucket, std::uint64_t count) { out.seconds.add(bucket, count); });
  });
  out.openings = breaker_.openings();
  out.open = breaker_.open();
  out.cached_entries = cache_.entries();
  out.cached_bytes = cache_.bytes();
  const std::lock_guard lock(mutex_);
  out.waiting = queue_.size();
  return out;
}

void Fetcher::close() {
  std::vector<std::thread> workers;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    workers.swap(workers_);
    queue_.clear();
  }
  wake_.notify_all();
  for (auto& worker : workers) worker.join();
  // Drops those that still wait, whose flights will not land.
  deadlines_.close();
  for (auto& shard : flights_) {
    const std::lock_guard lock(shard.mutex);
    shard.flights.clear();
  }
}

}  // namespace sluice::features
