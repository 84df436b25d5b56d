// Where releases, their evidence, pending feedback and decisions are kept: what must survive a
// restart, and what replicas share.
//
// Three shapes are enough for all of it, so that another store is one file:
//   documents   small texts by (kind, key) with a revision: written with compare-and-set
//   journals    texts that are only appended, by (journal, key): the decision history
//   blobs       bytes by (kind, key, number) that come and go in pieces: pending feedback
//
// To add one: write `state/<name>.cc` and one line in `state/builtin.cc`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice {

class Fleet;

struct StoredDocument {
  std::string key;
  // Counts from 1 and rises by one with every put. It never falls, also not when the document is
  // removed and made anew: what was decided about an older one never fits a newer one.
  std::uint64_t revision = 0;
  std::string body;
};

// An entry that is appended with a document, or neither is.
struct JournalEntry {
  std::string journal;
  std::string key;
  std::string body;
};

struct StoredBlob {
  std::uint64_t number = 0;
  std::string bytes;
};

// A blob that comes with a saved text, under the text's key; its bytes are the caller's.
struct SavedPiece {
  std::string_view kind;
  std::uint64_t number = 0;
  std::string_view bytes;
};

// Thread-safety: every function may be called from any thread; they block for as long as the disk
// or network takes. Keys, texts and bytes are kept as they are, whatever is in them. What there is
// not is nothing, and no error: forgetting or dropping it succeeds.
// Errors: kUnavailable/`state_unavailable`; kDataLoss/`bad_state` where what is there cannot be
// read; kResourceExhausted/`too_large` for what the store cannot hold; kAborted/`fenced` where
// replicas share the store and another one writes it now (core/fleet.h). None shows a path, and
// nothing has changed after one, but for kUnavailable of a store behind a network: whether that has
// changed anything is not known.
class StateStore {
 public:
  virtual ~StateStore() = default;

  // --- documents
  // By key.
  virtual Result<std::vector<StoredDocument>> documents(std::string_view kind) = 0;
  virtual Result<std::optional<StoredDocument>> document(std::string_view kind,
                                                         std::string_view key) = 0;
  // Durable when it returns, the entry with it. `expected`: the revision that is there (0: none),
  // else kAborted/`revision_conflict` and nothing has changed. Answers the new revision.
  virtual Result<std::uint64_t> put(std::string_view kind, std::string_view key,
                                    std::string_view body, std::uint64_t expected,
                                    const std::optional<JournalEntry>& entry) = 0;
  // The same for removing it. With 0 there is nothing to remove, and only the entry is appended.
  virtual Result<void> remove(std::string_view kind, std::string_view key, std::uint64_t expected,
                              const std::optional<JournalEntry>& entry) = 0;

  // --- counters and evidence: written every second, each time whole, without waiting for the disk.
  // A crash of the process loses nothing that was saved. One of the machine may lose what came
  // after the newest `put` and was not written back yet (with Linux as it is set up, half a
  // minute).
  // The blobs `pieces` are put with it, as `put_blob` does: all of it, or nothing.
  virtual Result<void> save(std::string_view kind, std::string_view key, std::string_view body,
                            std::span<const SavedPiece> pieces) = 0;
  Result<void> save(std::string_view kind, std::string_view key, std::string_view body) {
    return save(kind, key, body, {});
  }
  virtual Result<std::optional<std::string>> saved(std::string_view kind, std::string_view key) = 0;
  virtual Result<void> forget(std::string_view kind, std::string_view key) = 0;

  // --- journals: the newest `limit`, oldest first.
  virtual Result<std::vector<std::string>> journal(std::string_view journal, std::string_view key,
                                                   std::size_t limit) = 0;

  // --- blobs, by number; as lasting as what is saved. One that is put again is replaced.
  virtual Result<void> put_blob(std::string_view kind, std::string_view key, std::uint64_t number,
                                std::string_view bytes) = 0;
  virtual Result<std::vector<StoredBlob>> blobs(std::string_view kind, std::string_view key) = 0;
  // Those with numbers below.
  virtual Result<void> drop_blobs(std::string_view kind, std::string_view key,
                                  std::uint64_t below) = 0;

  // What replicas that share this store say to each other; null where it is one server's own. It
  // lives as long as the store. Where there is one, everything that writes here is written under
  // the lease's token (Fleet::write_under).
  virtual Fleet* fleet() { return nullptr; }
};

}  // namespace sluice
