// How busy each version was in the last minute: what its counts and latencies have grown by since a
// look of a minute ago. A look is taken every ten seconds, so a minute is 60 to 70 seconds, and
// less for what has not been there for so long.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "core/serving_table.h"
#include "core/tally.h"
#include "observers/tap.h"

namespace sluice::observers {

class Rates final : public RecordSink {
 public:
  // `tables` outlives it.
  explicit Rates(const ServingTables& tables) : tables_(tables) {}

  Wanted wants() const override { return static_cast<Wanted>(0); }
  void take(const Record&) override {}
  void tick() override;

  struct LastMinute {
    double seconds = 0;
    std::uint64_t answered = 0;
    std::uint64_t failed = 0;
    Tally::Latencies latencies;

    double rate() const { return seconds > 0 ? static_cast<double>(answered) / seconds : 0; }
  };
  LastMinute of(const Servable& servable) const;

 private:
  struct Look {
    std::uint64_t answered = 0;
    std::uint64_t failed = 0;
    Tally::Latencies latencies;
  };
  struct Looks {
    std::chrono::steady_clock::time_point at;
    std::map<const Tally*, Look> of;  // only compared: a version's tally outlives its loadings
  };

  const ServingTables& tables_;
  std::chrono::steady_clock::time_point next_{};  // the tap's thread's own
  mutable std::mutex mutex_;
  std::deque<Looks> looks_;  // guarded by mutex_
};

}  // namespace sluice::observers
