// What happened to the requests of one version, counted as they finish: the numbers behind the
// statistics extension of the Open Inference Protocol, and the first that anyone asks for.
//
// It goes on when its version is loaded again. The servable notes each execution (one per batch),
// an observer each finished request.
//
// Thread-safety: any thread may add; sums are taken at any time and are not one moment.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/answer_counts.h"
#include "core/outcome.h"
#include "core/request.h"
#include "statistics/burstiness.h"
#include "telemetry/buckets.h"
#include "telemetry/cells.h"
#include "telemetry/histogram.h"
#include "telemetry/sharded.h"

namespace sluice {

class Tally {
 public:
  using Nanos = std::chrono::nanoseconds;

  struct Duration {
    std::uint64_t count = 0;
    std::uint64_t ns = 0;
  };

  // How one request's time was spent.
  struct Spent {
    Nanos total{0};
    Nanos queue{0};
    Nanos fetch{-1};  // waiting for features; negative: there were none to fetch
    Nanos input{0};   // reading the tensors
    Nanos infer{0};   // in the engine; shared by the requests of a batch
    Nanos output{0};  // from the engine's answer to ours
  };

  struct Sums {
    Duration success, fail, queue, fetch, input, infer, output, cache_hit, cache_miss;
    std::uint64_t rows = 0;        // predicted, without those from the cache
    std::uint64_t executions = 0;  // runs of the engine
    std::uint64_t last_ms = 0;     // of the last success, since 1970
  };

  // Executions of one size.
  struct Batch {
    std::uint64_t rows = 0;
    std::uint64_t count = 0;
    std::uint64_t infer_ns = 0;
  };

  using Latencies = Histogram<DurationBuckets>;
  enum Stage : std::uint8_t { kTotal, kQueue, kCompute, kFetch };
  static constexpr std::size_t kStages = 4;

  // By protocol and how it ended.
  using Ends = std::array<std::array<std::uint64_t, kEndings>, kProtocols>;

  // What of a request is to be kept beside the counts, so that a flood costs no more than a stream.
  struct Due {
    bool drift = false;
    bool recent = false;
  };

  void executed(std::size_t rows, Nanos infer);
  void ended(Protocol protocol, Ending ending);
  void succeeded(std::size_t rows, const Spent& spent);
  void failed(Nanos total);
  // Answered from the cache, without a run.
  void recalled(Nanos total);
  // Looked for in the cache, and not there.
  void missed(Nanos looking);
  // A guard objected to this input ("age"), or to the answer (""). Names are of model.yaml and the
  // model: a bounded number.
  void violated(std::string_view feature);
  AnswerCounts& answers() { return answers_; }
  const AnswerCounts& answers() const { return answers_; }
  // Counts a request that ended at `now` against what may be kept, by thread: 500 a second for
  // drift and 1,000 at once, 50 a second to be shown and 100 at once, the same of failures.
  Due due(std::chrono::steady_clock::time_point now, Ending ending);

  Sums sums() const;
  // How failures came together, and in how many requests.
  std::pair<statistics::Burstiness, std::uint64_t> bursts() const;
  Latencies latencies(Stage stage) const;
  Ends ends() const;
  std::map<std::string, std::uint64_t> violations() const;
  // By size, largest last. A thread knows its first 64 sizes exactly, and others by the next power
  // of two.
  std::vector<Batch> batches() const;

 private:
  static constexpr std::size_t kSizes = 64;

  struct Cell {
    Counter count;
    Counter ns;
  };
  struct Size {
    Counter rows;
    Counter count;
    Counter ns;
  };
  struct Shard {
    Cell success, fail, queue, fetch, input, infer, output, cache_hit, cache_miss;
    Counter rows;
    Counter executions;
    Counter last_ms;
    std::array<Size, kSizes> sizes;
    std::array<Size, 64> large;  // of sizes that found no room there, by the next power of two
    std::array<Cells<DurationBuckets::kBlocks>, kStages> latencies;
    std::array<std::array<Counter, kEndings>, kProtocols> ends;
    Counter next_drift;  // ns of the steady clock, at which another is due
    Counter next_recent;
    Counter next_failed;
  };

  std::uint64_t finished() const;

  Sharded<Shard> shards_;
  mutable std::mutex failing_;
  statistics::Burstiness bursts_;  // guarded by failing_
  AnswerCounts answers_;
  mutable std::mutex violating_;
  std::map<std::string, std::uint64_t, std::less<>> violations_;  // guarded by violating_
};

}  // namespace sluice
