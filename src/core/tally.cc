#include "core/tally.h"

#include <time.h>

#include <algorithm>
#include <bit>
#include <map>

namespace sluice {
namespace {

std::uint64_t ns_of(Tally::Nanos time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
}

// Exact to a few milliseconds, which is all that a last use needs, at a fifth of the price.
std::uint64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace

void Tally::executed(std::size_t rows, Nanos infer) {
  auto mine = shards_.mine();
  mine.bump(mine.shard.executions, 1);
  for (Size& size : mine.shard.sizes) {
    if (size.rows.value() == 0) size.rows.set(rows);
    if (size.rows.value() != rows) continue;
    mine.bump(size.count, 1);
    mine.bump(size.ns, ns_of(infer));
    return;
  }
  // There is no more room: as a run of the next power of two.
  Size& large = mine.shard.large[static_cast<std::size_t>(std::bit_width(rows - 1)) % 64];
  mine.bump(large.count, 1);
  mine.bump(large.ns, ns_of(infer));
}

void Tally::succeeded(std::size_t rows, const Spent& spent) {
  auto mine = shards_.mine();
  const auto add = [&](Cell& cell, Nanos time) {
    mine.bump(cell.count, 1);
    mine.bump(cell.ns, ns_of(time));
  };
  add(mine.shard.success, spent.total);
  add(mine.shard.queue, spent.queue);
  add(mine.shard.input, spent.input);
  add(mine.shard.infer, spent.infer);
  add(mine.shard.output, spent.output);
  const auto count = [&](Stage stage, Nanos time) {
    mine.bump(mine.shard.latencies[stage].at(DurationBuckets::of(ns_of(time))), 1);
  };
  count(kTotal, spent.total);
  count(kQueue, spent.queue);
  count(kCompute, spent.infer);
  if (spent.fetch.count() >= 0) {
    add(mine.shard.fetch, spent.fetch);
    count(kFetch, spent.fetch);
  }
  mine.bump(mine.shard.rows, rows);
  mine.shard.last_ms.set(now_ms());
}

void Tally::ended(Protocol protocol, Ending ending) {
  auto mine = shards_.mine();
  mine.bump(mine.shard.ends[static_cast<std::size_t>(protocol)][static_cast<std::size_t>(ending)],
            1);
}

void Tally::failed(Nanos total) {
  auto mine = shards_.mine();
  mine.bump(mine.shard.fail.count, 1);
  mine.bump(mine.shard.fail.ns, ns_of(total));
  // Failures are rare; whoever runs a release wants to know whether they come in bursts.
  const std::lock_guard lock(failing_);
  bursts_.bad(finished() - 1);
}

std::uint64_t Tally::finished() const {
  std::uint64_t out = 0;
  shards_.each(
      [&](const Shard& shard) { out += shard.success.count.value() + shard.fail.count.value(); });
  return out;
}

std::pair<statistics::Burstiness, std::uint64_t> Tally::bursts() const {
  const std::lock_guard lock(failing_);
  return {bursts_, finished()};
}

void Tally::recalled(Nanos total) {
  auto mine = shards_.mine();
  for (Cell* cell : {&mine.shard.success, &mine.shard.cache_hit}) {
    mine.bump(cell->count, 1);
    mine.bump(cell->ns, ns_of(total));
  }
  mine.bump(mine.shard.latencies[kTotal].at(DurationBuckets::of(ns_of(total))), 1);
  mine.shard.last_ms.set(now_ms());
}

void Tally::missed(Nanos looking) {
  auto mine = shards_.mine();
  mine.bump(mine.shard.cache_miss.count, 1);
  mine.bump(mine.shard.cache_miss.ns, ns_of(looking));
}

void Tally::violated(std::string_view feature) {
  const std::lock_guard lock(violating_);
  const auto found = violations_.find(feature);
  if (found != violations_.end()) {
    ++found->second;
  } else {
    violations_.emplace(feature, 1);
  }
}

Tally::Due Tally::due(std::chrono::steady_clock::time_point now, Ending ending) {
  using namespace std::chrono_literals;
  auto mine = shards_.mine();
  const auto at = ns_of(now.time_since_epoch());
  // One in each `pause`, and after a silence so many at once (a leaky bucket, as the generic cell
  // rate algorithm of ATM has it: `next` is when the bucket will be empty).
  const auto take = [at](Counter& next, Nanos pause, std::uint64_t at_once) {
    const auto empty = std::max(next.value(), at);
    if (empty - at > at_once * ns_of(pause)) return false;
    next.set(empty + ns_of(pause));
    return true;
  };
  Due out;
  // A failure has a turn of its own: it is what is looked for.
  if (ending != Ending::kAnswered) {
    out.recent = take(mine.shard.next_failed, 20ms, 50);
    return out;
  }
  out.drift = take(mine.shard.next_drift, 2ms, 1000);
  out.recent = take(mine.shard.next_recent, 20ms, 100);
  return out;
}

Tally::Latencies Tally::latencies(Stage stage) const {
  Latencies out;
  shards_.each([&](const Shard& shard) {
    shard.latencies[stage].each(
        [&](std::size_t bucket, std::uint64_t count) { out.add(bucket, count); });
  });
  return out;
}

Tally::Ends Tally::ends() const {
  Ends out{};
  shards_.each([&](const Shard& shard) {
    for (std::size_t i = 0; i < kProtocols; ++i) {
      for (std::size_t j = 0; j < kEndings; ++j) out[i][j] += shard.ends[i][j].value();
    }
  });
  return out;
}

std::map<std::string, std::uint64_t> Tally::violations() const {
  const std::lock_guard lock(violating_);
  return {violations_.begin(), violations_.end()};
}

Tally::Sums Tally::sums() const {
  Sums out;
  const auto add = [](Duration& to, const Cell& cell) {
    to.count += cell.count.value();
    to.ns += cell.ns.value();
  };
  shards_.each([&](const Shard& shard) {
    add(out.success, shard.success);
    add(out.fail, shard.fail);
    add(out.queue, shard.queue);
    add(out.fetch, shard.fetch);
    add(out.input, shard.input);
    add(out.infer, shard.infer);
    add(out.output, shard.output);
    add(out.cache_hit, shard.cache_hit);
    add(out.cache_miss, shard.cache_miss);
    out.rows += shard.rows.value();
    out.executions += shard.executions.value();
    out.last_ms = std::max(out.last_ms, shard.last_ms.value());
  });
  return out;
}

std::vector<Tally::Batch> Tally::batches() const {
  std::map<std::uint64_t, Batch> by_size;
  shards_.each([&](const Shard& shard) {
    for (const Size& size : shard.sizes) {
      if (size.count.value() == 0) continue;
      Batch& batch = by_size[size.rows.value()];
      batch.rows = size.rows.value();
      batch.count += size.count.value();
      batch.infer_ns += size.ns.value();
    }
  });
  shards_.each([&](const Shard& shard) {
    for (std::size_t bits = 0; bits < shard.large.size(); ++bits) {
      const Size& size = shard.large[bits];
      if (size.count.value() == 0) continue;
      Batch& batch = by_size[std::uint64_t{1} << bits];
      batch.rows = std::uint64_t{1} << bits;
      batch.count += size.count.value();
      batch.infer_ns += size.ns.value();
    }
  });
  std::vector<Batch> out;
  for (const auto& [rows, batch] : by_size) out.push_back(batch);
  return out;
}

}  // namespace sluice
