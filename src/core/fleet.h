// What the replicas of a server say to each other, through the store that they share.
//
// Each of them beats some times a second: it says that it is there, what has happened on it, and
// what it wants to know, and hears who leads and what was changed. One of them leads: it holds the
// lease, reads what has happened everywhere, decides, and publishes. Leases carry a token that
// rises with each new holder (fencing: M. Kleppmann, "How to do distributed locking", 2016): what
// somebody writes who has lost his lease without knowing it is refused by the store itself.
//
// Thread-safety: every function may be called from any thread; they block for as long as the
// network takes, which is bounded. Errors: kUnavailable/`state_unavailable`; kAborted/`fenced`
// where the lease is another's; kDataLoss/`bad_state`; kResourceExhausted/`too_large` for an event,
// a letter or a text above kMostText, of which nothing was said. After kUnavailable what was said
// may have been heard.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice {

// From one replica to another, kept until it is fetched or a minute has passed.
struct Letter {
  std::string from;  // a replica; whom to answer
  std::string id;    // of the sender's choice; an answer has that of its question
  std::string text;
};

// Something that happened: bytes that only replicas understand.
struct FleetEvent {
  std::uint64_t place = 0;  // counts from 1 through all that ever happened
  std::string replica;
  std::string bytes;
};

// What a model's traffic is to follow, as the leader last published it.
struct Published {
  std::string model;
  std::uint64_t number = 0;  // counts from 1 through all that was ever published
  std::string text;
};

struct BeatSaid {
  std::string replica;      // its name, of this process' life: never used again by another
  bool wants_lease = true;  // takes it where nobody has it, keeps it where it is its own
  std::uint64_t heard = 0;  // the newest `Published::number` that it follows
  // Numbered from 1, one more each time. An event that is said again, because nobody heard whether
  // it arrived, is kept once.
  std::uint64_t sequence = 0;
  std::string event;              // empty: nothing has happened
  std::vector<Letter> questions;  // to whoever leads
  // Answers: `from` is whom they are for.
  std::vector<Letter> answers;
};

struct ReplicaSeen {
  std::string name;
  std::uint64_t heard = 0;              // as it said
  std::chrono::milliseconds silent{0};  // since its last beat
};

struct BeatHeard {
  std::int64_t now = 0;  // the store's clock, milliseconds since 1970
  // Of the store's data. Another one than before: it has lost all that it had, or the newest of it
  // (a failover to a copy that was behind: somebody has heard more than is there now).
  std::string life;
  std::string leader;  // empty: nobody
  // Of the leader's lease, or of the last one there was. Not every number is used.
  std::uint64_t token = 0;
  std::vector<Published> published;  // after what was heard before, ordered by number
  std::vector<Letter> answers;       // to this replica
  // For the leader alone.
  std::vector<Letter> questions;
  std::vector<ReplicaSeen> replicas;  // all whose last beat is within kGone
  bool kept_event = true;  // false: there was no room for it, as nobody reads; say it again later
};

class Fleet {
 public:
  // A lease that is not kept is over after that.
  static constexpr std::chrono::milliseconds kLease{2000};
  // A replica that has not beaten for so long is held to be gone.
  static constexpr std::chrono::milliseconds kGone{30'000};
  // Bytes of events that wait at most.
  static constexpr std::size_t kMostWaiting = std::size_t{256} << 20;
  // Bytes of one event, letter or published text at most.
  static constexpr std::size_t kMostText = std::size_t{8} << 20;
  // Letters that wait for one replica, and questions that wait for a leader: the oldest go first.
  static constexpr std::size_t kMostLetters = 1000;
  // A letter that nobody fetches is kept for so long.
  static constexpr std::chrono::milliseconds kLetterKept{60'000};

  virtual ~Fleet() = default;

  virtual Result<BeatHeard> beat(const BeatSaid& said) = 0;
  // This replica ends: its lease is free, and nobody waits for it.
  virtual Result<void> leave(std::string_view replica) = 0;

  // What all replicas use under this name: the text of whoever said one first.
  virtual Result<std::string> agree(std::string_view name, std::string_view text) = 0;

  // --- for the leader. `token`: of its lease.
  // What is written through the StateStore from now on is written under this token: refused with
  // `fenced` when it is not the newest any more. 0, as in the beginning: everything is refused.
  virtual void write_under(std::uint64_t token) = 0;
  // Answers its number. An empty text: the model follows nothing.
  virtual Result<std::uint64_t> publish(std::uint64_t token, std::string_view model,
                                        std::string_view text) = 0;
  // After `place`, in order: some, or none where there are no more.
  virtual Result<std::vector<FleetEvent>> events(std::uint64_t token, std::uint64_t place) = 0;
  // Those up to `place` were taken into account, and that is stored.
  virtual Result<void> forget(std::uint64_t token, std::uint64_t place) = 0;
};

}  // namespace sluice
