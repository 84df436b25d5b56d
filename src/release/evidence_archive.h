// What releases have seen, who was counted and what waits for feedback, in the state store.
//
// Evidence is one document a model, written anew each time. Users and feedback are only added to:
// each save writes a piece of what has come since, and pieces that are too old or too many go.
//
// Thread-safety: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "base/error.h"
#include "core/state_store.h"
#include "release/json_state.h"
#include "release/running_release.h"
#include "release/wall_clock.h"

namespace sluice::release {

class EvidenceArchive {
 public:
  // Must outlive it.
  explicit EvidenceArchive(StateStore& store) : store_(store) {}

  // What is new since the last time: all of it, or nothing; then the release is not dirty any more.
  // Errors: the store's.
  Result<void> save(RunningRelease& release, WallMillis now);
  // Takes up what was saved. `document`: what the release was begun with. Errors: the store's.
  Result<void> restore(RunningRelease& release, const json& document);

  // Another release begins for the model: users and feedback are forgotten, evidence is replaced by
  // the next save.
  void begin_anew(const std::string& model);
  // There is none any more.
  void forget(const std::string& model);
  // The store has nothing of it, whatever was there.
  void store_lost(const std::string& model) { pieces_.erase(model); }

 private:
  struct Piece {
    std::uint64_t number;
    WallMillis at;  // none of its requests came later
    std::size_t entries;
  };
  // Of a model.
  struct Pieces {
    std::uint64_t next_feedback = 0;
    std::uint64_t next_users = 0;
    std::size_t entries = 0;
    std::deque<Piece> feedback;
  };

  static void keep(Pieces& pieces, Piece piece);
  void drop_old(const RunningRelease& release, Pieces& pieces, WallMillis now);

  StateStore& store_;
  std::map<std::string, Pieces> pieces_;
};

}  // namespace sluice::release
