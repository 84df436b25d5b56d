// So that counts are never behind an answer: whoever has one and then asks how many there were
// finds its own among them.
//
// Requests are counted after their answers have left (nobody waits for the counting then), perhaps
// a moment after: a thread may lose its processor in between. Whoever shows counts calls `settle`
// first. That costs a request two plain additions.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "core/observer.h"
#include "telemetry/sharded.h"

namespace sluice::observers {

class Finishing {
 public:
  // Nobody waits at all but where a thread has lost its processor just then; and no more than this,
  // which only machines in distress need.
  static constexpr std::chrono::milliseconds kLongest{200};

  // Of one request, on one thread: before its answer is handed over; when it has been counted.
  void begin() noexcept;
  void end() noexcept;

  // Returns when all requests that had begun before the call have ended, or after `kLongest`. (Of
  // threads that share a shard, others' ends may stand for theirs: see telemetry/sharded.h.)
  void settle() const;

 private:
  struct Requests {
    Counter begun;
    std::atomic<std::uint64_t> ended{0};  // released: what was counted is seen with it
  };
  Sharded<Requests> requests_;
};

// The last of a list: `end` comes after the others' `on_finish`. `finishing` outlives it.
std::unique_ptr<const Observer> make_finishing(Finishing& finishing);

}  // namespace sluice::observers
