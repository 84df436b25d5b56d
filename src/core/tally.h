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
#include <mutex>
#include <utility>
#include <vector>

#include "statistics/burstiness.h"
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
    Nanos input{0};   // reading the tensors
    Nanos infer{0};   // in the engine; shared by the requests of a batch
    Nanos output{0};  // from the engine's answer to ours
  };

  struct Sums {
    Duration success, fail, queue, input, infer, output, cache_hit, cache_miss;
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

  void executed(std::size_t rows, Nanos infer);
  void succeeded(std::size_t rows, const Spent& spent);
  void failed(Nanos total);
  // Answered from the cache, without a run.
  void recalled(Nanos total);
  // Looked for in the cache, and not there.
  void missed(Nanos looking);

  Sums sums() const;
  // How failures came together, and in how many requests.
  std::pair<statistics::Burstiness, std::uint64_t> bursts() const;
  // By size; a thread remembers its first 64 sizes, the sums have them all.
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
    Cell success, fail, queue, input, infer, output, cache_hit, cache_miss;
    Counter rows;
    Counter executions;
    Counter last_ms;
    std::array<Size, kSizes> sizes;
  };

  std::uint64_t finished() const;

  Sharded<Shard> shards_;
  mutable std::mutex failing_;
  statistics::Burstiness bursts_;  // guarded by failing_
};

}  // namespace sluice
