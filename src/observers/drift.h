// Drift: whether what models are asked, and what they answer, still looks as it did in training.
//
// Each version that answers has its features (columns of its one table, or its scalar inputs, at
// most 256) and its prediction (a class or a number) compared with a reference over a sliding
// window, `drift.window` in model.yaml (statistics/drift.h says how). The reference is what
// model.yaml says of training; where it says nothing, the first 1,000 rows that are seen become
// it ("baseline"). Requests that a guard refused are not in it, nor those that fail.
//
// The tap takes at most 500 requests a second and thread, so a flood costs no more than a stream.
// Memory: per version at most 256 features of 12 parts, about 2 MB; versions and models that the
// table does not have any more are forgotten. What was seen of a version stays when it is loaded
// again, unless its model.yaml says another reference or window.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/serving_table.h"
#include "observers/tap.h"
#include "statistics/drift.h"

namespace sluice::observers {

enum class DriftReference : std::uint8_t { kNone, kBaseline, kTraining };
// "none", "baseline", "training".
std::string_view word_of(DriftReference reference);

struct DriftOf {
  std::string name;
  DriftReference reference = DriftReference::kNone;
  statistics::Drift drift;
  bool judged = false;  // the window has `drift.min_rows`
  bool drifted = false;
};

struct DriftOfVersion {
  std::string version;
  std::uint64_t rows = 0;           // in the window, of features or predictions
  std::uint64_t baseline_rows = 0;  // while a baseline is being collected: those that it has
  DriftReference reference = DriftReference::kNone;
  std::vector<DriftOf> features;
  std::optional<DriftOf> prediction;
  std::vector<std::string> classes;  // their names, where the prediction is one

  bool judged() const;
  // Of features and the prediction.
  std::size_t drifted() const;
};

class DriftWatch final : public RecordSink {
 public:
  static constexpr std::size_t kMostFeatures = 256;
  static constexpr std::size_t kBaselineRows = 1000;
  using Clock = std::function<std::chrono::nanoseconds()>;

  // `tables` outlives it. `clock`: time since whenever; null: the steady clock.
  explicit DriftWatch(const ServingTables& tables, Clock clock = nullptr);
  ~DriftWatch() override;

  Wanted wants() const override { return kForDrift; }
  void take(const Record& record) override;
  // Forgets what is gone.
  void tick() override;

  // By version in natural order; versions that have not answered yet are not in it.
  std::vector<DriftOfVersion> report(const ModelEntry& entry) const;

 private:
  struct Watched;

  Watched* watched(const std::shared_ptr<const ModelEntry>& entry, const Record& record);

  const ServingTables& tables_;
  const Clock clock_;
  std::chrono::nanoseconds next_{0};  // the tap's thread's own
  mutable std::mutex mutex_;
  // By model and version; guarded by mutex_.
  std::map<std::string, std::map<std::string, std::unique_ptr<Watched>, std::less<>>, std::less<>>
      models_;
};

}  // namespace sluice::observers
