// How the predictions of one version are distributed, counted as they are made: by class, by
// confidence, or by value.
//
// Classes beyond the 64th are counted together; values in buckets of 6 %, so that memory is bounded
// whatever models answer. Vectors (embeddings, forecasts) have no distribution here.
//
// Thread-safety: any thread may add; sums are taken at any time and are not one moment.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/prediction.h"
#include "telemetry/buckets.h"
#include "telemetry/cells.h"
#include "telemetry/histogram.h"
#include "telemetry/sharded.h"

namespace sluice {

class AnswerCounts {
 public:
  static constexpr std::size_t kClasses = 64;
  static constexpr std::size_t kConfidences = 20;  // each 0.05 wide

  // Of a reply that was interpreted.
  void add(const Prediction& prediction);

  struct Sums {
    std::array<std::uint64_t, kClasses> classes{};
    std::uint64_t other_classes = 0;
    std::array<std::uint64_t, kConfidences> confidences{};
    double confidence_sum = 0;  // of classes alone: a value's is always 1
    Histogram<ValueBuckets> values;
    std::uint64_t not_finite = 0;
    double value_sum = 0;

    std::uint64_t classified() const;
    void merge(const Sums& other);
  };
  Sums sums() const;

 private:
  struct Shard {
    std::array<Counter, kClasses> classes;
    Counter other_classes;
    std::array<Counter, kConfidences> confidences;
    Counter confidence_millionths;
    Counter not_finite;
    std::atomic<double> value_sum{0};
    Cells<ValueBuckets::kBlocks> values;
  };

  Sharded<Shard> shards_;
};

}  // namespace sluice
