#include "observers/rates.h"

#include <algorithm>

namespace sluice::observers {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kEvery{10};
constexpr std::size_t kLooks = 7;

}  // namespace

void Rates::tick() {
  const auto now = Clock::now();
  tables_.refresh();
  if (now < next_) return;
  next_ = now + kEvery;
  Looks looks{now, {}};
  const auto table = tables_.get();
  for (const auto& [name, entry] : table->models) {
    for (const auto& servable : entry->ready) {
      const Tally& tally = servable->tally();
      const auto sums = tally.sums();
      if (sums.success.count + sums.fail.count == 0) continue;
      looks.of[&tally] = {sums.success.count, sums.fail.count, tally.latencies(Tally::kTotal)};
    }
  }
  const std::lock_guard lock(mutex_);
  looks_.push_back(std::move(looks));
  if (looks_.size() > kLooks) looks_.pop_front();
}

Rates::LastMinute Rates::of(const Servable& servable) const {
  const Tally& tally = servable.tally();
  const auto sums = tally.sums();
  const auto now = Clock::now();
  LastMinute out;
  Look before;
  {
    const std::lock_guard lock(mutex_);
    if (looks_.empty()) return out;
    out.seconds = std::chrono::duration<double>(now - looks_.front().at).count();
    const auto found = looks_.front().of.find(&tally);
    if (found != looks_.front().of.end()) before = found->second;
  }
  out.answered = sums.success.count - std::min(before.answered, sums.success.count);
  out.failed = sums.fail.count - std::min(before.failed, sums.fail.count);
  out.latencies = tally.latencies(Tally::kTotal).since(before.latencies);
  return out;
}

}  // namespace sluice::observers
