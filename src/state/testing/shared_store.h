// A store in memory that several replicas share, with all that goes wrong between them and it: for
// tests of what is built on a StateStore with a Fleet.
//
// It behaves as the one in Redis does (state/fleet_test.cc holds both to the same), but its clock
// stands still until a test moves it.
//
// Thread-safety: every function may be called from any thread. A StateStore that was opened here
// may outlive the SharedStore.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/fleet.h"
#include "core/state_store.h"

namespace sluice::state::testing {

class SharedStore {
 public:
  SharedStore();
  ~SharedStore();

  // One replica's way to the store. `way` is what the functions below call it; it beats with any
  // name it likes.
  std::unique_ptr<StateStore> open(const std::string& way);

  // Moves the store's clock.
  void advance(std::chrono::milliseconds time);

  // Nothing of it arrives, and each call answers `state_unavailable`, until it is restored.
  void cut(const std::string& way);
  // All that it says arrives and is done, and each call answers `state_unavailable` all the same.
  void lose_replies(const std::string& way);
  // After cut() and lose_replies().
  void restore(const std::string& way);

  // Documents, evidence, events, leases: as if the store were new.
  void lose_everything();

 private:
  struct Shared;
  class Way;

  const std::shared_ptr<Shared> shared_;
};

}  // namespace sluice::state::testing
