// A few ordinary rows of what each version was asked lately, for explanations to compare with where
// model.yaml names none. Every row that was looked at had the same chance to be kept among those of
// the last few thousand (a reservoir that forgets); in memory alone, and never shown.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/explanation.h"
#include "core/serving_table.h"
#include "observers/tap.h"

namespace sluice::observers {

class TrafficRows final : public RecordSink, public Background {
 public:
  static constexpr std::size_t kMost = 100;   // rows of a version
  static constexpr std::size_t kFewest = 10;  // below, nothing can be said to be ordinary
  static constexpr std::size_t kWidest = 4096;
  static constexpr std::uint64_t kMemory = 5000;  // rows; older ones make way

  // `tables` outlives it. `seed`: another only in tests.
  explicit TrafficRows(const ServingTables& tables, std::uint64_t seed = random_seed())
      : tables_(tables), random_(seed) {}

  Wanted wants() const override { return kForDrift; }
  void take(const Record& record) override;
  void tick() override;

  std::vector<double> rows(const Servable& servable, std::size_t width,
                           std::size_t most) const override;

 private:
  struct Kept {
    std::size_t width = 0;
    std::uint64_t seen = 0;
    std::vector<std::vector<float>> rows;
  };
  using Key = std::pair<std::string, std::string>;  // model, version

  const ServingTables& tables_;
  Random random_;  // the tap's thread's own
  mutable std::mutex mutex_;
  std::map<Key, Kept> versions_;  // guarded by mutex_
};

}  // namespace sluice::observers
