// This replica among the others (core/fleet.h): what it has to say waits here until the shared
// store has heard it, and what it hears is handed on.
//
// Nothing is lost and nothing counts twice while the store is away: what has happened is numbered,
// and said again until it was heard. It is bounded: beyond `kMostHeld` the newest are given up, and
// counted.
//
// Thread-safety: one owner, but for `view`.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/snapshot.h"
#include "core/fleet.h"
#include "release/happenings.h"

namespace sluice::release {

class FleetLink {
 public:
  using Clock = std::chrono::steady_clock;
  using Answer = std::move_only_function<void(Result<json>)>;

  // How often it beats; sooner where somebody waits for an answer.
  static constexpr std::chrono::milliseconds kBeat{100};
  static constexpr std::chrono::milliseconds kQuickBeat{20};
  // How long an answer may take.
  static constexpr std::chrono::milliseconds kAnswer{15'000};
  static constexpr std::size_t kMostHeld = 1'000'000;  // outcomes

  // `fleet` outlives it.
  FleetLink(Fleet& fleet, std::string replica);

  // --- what it has to say
  void happened(std::span<const Outcome> outcomes);
  void told(std::string model, Feedback feedback, Answer answer);
  void ask(const json& question, Answer answer);
  void reply(const Letter& question, const Result<json>& answer);
  // That a replica's feedback was taken.
  void reply(const std::string& replica, const std::string& letter, const Result<json>& answer);

  // --- beating
  bool due(Clock::time_point now) const;
  // Errors: the store's; then `connected` is false and all that waits is said again.
  Result<BeatHeard> beat(Clock::time_point now);
  // What was published up to there is followed; also by whoever publishes.
  void heard(std::uint64_t number) { heard_ = std::max(heard_, number); }
  // Answers those who have waited too long.
  void give_up(Clock::time_point now);
  // The server ends: what there is is said once more, and the lease is free.
  void leave();

  // --- how it stands
  // The lease is this replica's and, as far as it can tell, not over.
  bool leads(Clock::time_point now) const;
  std::uint64_t token() const { return token_; }
  bool connected() const { return connected_; }
  const std::string& replica() const { return replica_; }
  const std::string& life() const { return life_; }
  // Of the store, where it was heard; else this machine's.
  const SharedClock& clock() const { return clock_; }
  WallMillis now(Clock::time_point at) const { return clock_.millis(at); }
  // A replica that has not beaten for so long may not hear what is published next.
  static constexpr std::chrono::milliseconds kPresent{500};
  // Every replica follows what was published under that number, and would hear what comes next.
  bool everybody_follows(std::uint64_t number) const;
  // Every replica has heard of it, whether or not it beats now.
  bool everybody_heard(std::uint64_t number) const;
  // Every replica that beats follows it.
  bool present_follow(std::uint64_t number) const;

  struct View {
    bool connected = false;
    bool leads = false;
    std::size_t replicas = 0;    // that the leader sees; of others 0
    std::uint64_t given_up = 0;  // outcomes
    std::uint64_t waiting = 0;   // outcomes that were not heard yet
  };
  // Any thread.
  View view() const { return *view_.get(); }

 private:
  struct Waiting {
    Answer answer;
    Clock::time_point until;
  };

  std::string next_letter();
  void next_event();
  void take(const BeatHeard& heard, Clock::time_point asked, Clock::time_point now);
  void show(Clock::time_point now);

  Fleet& fleet_;
  const std::string replica_;
  Happenings happenings_;            // since the event that is being said
  std::uint64_t sequence_ = 0;       // of the event that is being said
  std::string event_;                // it; empty: none
  std::size_t event_outcomes_ = 0;   // in it
  Clock::time_point event_again_{};  // it is not said before
  std::vector<Letter> questions_;
  std::vector<Letter> answers_;
  std::map<std::string, Waiting> waiting_;
  std::uint64_t letters_ = 0;
  std::uint64_t given_up_ = 0;

  bool connected_ = false;
  std::uint64_t heard_ = 0;
  std::string life_;
  std::string leader_;
  std::uint64_t token_ = 0;
  Clock::time_point leads_until_{};
  Clock::time_point patient_until_{};  // does not want the lease before
  std::vector<ReplicaSeen> replicas_;
  SharedClock clock_;
  Clock::duration nearest_ = Clock::duration::max();  // the quickest answer, which tells time best
  Clock::time_point beaten_{};
  Snapshot<View> view_;
};

// A result as text, to be read on another replica.
std::string text_of(const Result<json>& result);
Result<json> result_of(const std::string& text);

}  // namespace sluice::release
