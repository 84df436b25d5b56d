// Collects how the requests of releases ended, for the releases' own thread to fetch.
//
// A thread that answers requests writes into a list of its own, whose lock nobody but the fetching
// thread, a hundred times a second, ever contends for. What a release does not learn from, that of
// models without one above all, is not written.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/observer.h"
#include "core/outcome.h"
#include "telemetry/sharded.h"

namespace sluice::observers {

// Thread-safety: every function may be called from any thread.
class EvidenceLog {
 public:
  // Outcomes that a thread's list holds; further ones are dropped and counted.
  static constexpr std::size_t kMost = 1 << 18;

  void add(const Outcome& outcome) noexcept;
  // Appends what came since the last time.
  void fetch(std::vector<Outcome>& out);
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct List {
    std::mutex mutex;
    std::vector<Outcome> outcomes;  // guarded by mutex
  };

  Sharded<List> lists_;
  std::atomic<std::uint64_t> dropped_{0};
};

// `log` outlives the observer.
std::unique_ptr<const Observer> make_evidence(EvidenceLog& log);

// By which feedback finds a request.
RequestKey request_key(std::string_view request_id);

}  // namespace sluice::observers
