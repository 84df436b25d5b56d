// Counts each finished request in the tally of its version.
#pragma once

#include <array>
#include <memory>

#include "core/observer.h"
#include "core/tally.h"
#include "telemetry/sharded.h"

namespace sluice::observers {

// How those ended that reached no version: unknown models, bodies that nobody could read.
// Thread-safety: every function may be called from any thread.
class EndCounts {
 public:
  void add(Protocol protocol, Ending ending) {
    auto mine = shards_.mine();
    mine.bump(mine.shard[static_cast<std::size_t>(protocol)][static_cast<std::size_t>(ending)], 1);
  }
  Tally::Ends sums() const;

 private:
  using Shard = std::array<std::array<Counter, kEndings>, kProtocols>;
  Sharded<Shard> shards_;
};

// `unserved` outlives the observer.
std::unique_ptr<const Observer> make_statistics(EndCounts& unserved);

}  // namespace sluice::observers
