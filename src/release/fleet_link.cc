#include "release/fleet_link.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "release/json_state.h"
#include "release/wall_clock.h"

namespace sluice::release {
namespace {

using Millis = std::chrono::milliseconds;

// After the store has lost everything, whoever led comes first: it knows most. Another one that has
// got the lease in the same moment gives it back.
constexpr Millis kPatience{1500};
// In one event at most: with both it is well below Fleet::kMostText.
constexpr std::size_t kMostInEvent = 20'000;  // outcomes, of 80 bytes
constexpr std::size_t kMostTold = 1000;       // of feedback
// What there was no room for is said again so much later: to refuse it costs the store as much as
// to keep it.
constexpr Millis kNoRoom{1000};
// A lease that is nearly over may be another's by the time that something is done under it.
constexpr Millis kMargin{500};

// An Error's reason is a literal.
std::string_view known_reason(std::string_view text) {
  constexpr std::array<std::string_view, 24> kKnown = {
      "bad_bandit",        "bad_release",       "bad_reward",
      "bad_state",         "bad_version",       "busy",
      "draining",          "expired",           "fenced",
      "internal",          "load_failed",       "no_bandit",
      "no_leader",         "no_release",        "not_ready",
      "repeated_feedback", "revision_conflict", "state_unavailable",
      "too_large",         "unknown_model",     "unknown_request",
      "unknown_version",   "unsupported",       "wrong_type"};
  const auto found = std::ranges::find(kKnown, text);
  return found == kKnown.end() ? "refused" : *found;
}

// Takes them away.
template <class T>
std::vector<T> first_of(std::vector<T>& all, std::size_t most) {
  if (all.size() <= most) return std::exchange(all, {});
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(most);
  std::vector<T> out(std::make_move_iterator(all.begin()), std::make_move_iterator(end));
  all.erase(all.begin(), end);
  return out;
}

// Nobody was asked.
Failure away(std::string_view so) {
  return unavailable("no_leader", "the replicas' shared state cannot be reached; " +
                                      std::string(so) + ", try again when it is back");
}

Failure nobody(std::string_view what) {
  return unavailable("no_leader", std::string(what) +
                                      "; what was asked for may have been done or not: look at "
                                      "the release, and try again");
}

}  // namespace

std::string text_of(const Result<json>& result) {
  if (result) return text_of(json{{"ok", *result}});
  const Error& error = result.error();
  return text_of(json{{"code", static_cast<int>(error.code)},
                      {"reason", error.reason},
                      {"message", error.message}});
}

Result<json> result_of(const std::string& text) {
  const auto read = parsed(text);
  if (read.is_object() && read.contains("ok")) return read["ok"];
  const auto code = count_in(read, "code", static_cast<std::uint64_t>(Code::kInternal));
  const bool known = code > 0 && code <= static_cast<std::uint64_t>(Code::kUnauthenticated);
  return fail(known ? static_cast<Code>(code) : Code::kInternal,
              known_reason(text_in(read, "reason", "internal")),
              text_in(read, "message", "another replica's answer cannot be read"));
}

FleetLink::FleetLink(Fleet& fleet, std::string replica)
    : fleet_(fleet),
      replica_(std::move(replica)),
      clock_{Clock::now(), wall_millis()},
      view_(std::make_shared<const View>()) {}

// --- what it has to say -------------------------------------------------------------------------

void FleetLink::happened(std::span<const Outcome> outcomes) {
  const std::size_t held = event_outcomes_ + happenings_.outcomes.size();
  const std::size_t room = kMostHeld - std::min(held, kMostHeld);
  const std::size_t taken = std::min(room, outcomes.size());
  happenings_.outcomes.insert(happenings_.outcomes.end(), outcomes.begin(),
                              outcomes.begin() + static_cast<std::ptrdiff_t>(taken));
  given_up_ += outcomes.size() - taken;
}

std::string FleetLink::next_letter() { return std::to_string(++letters_); }

void FleetLink::told(std::string model, Feedback feedback, Answer answer) {
  if (!connected_) return answer(away("nothing was counted"));
  const auto letter = next_letter();
  happenings_.feedback.push_back({letter, std::move(model), std::move(feedback)});
  waiting_[letter] = {std::move(answer), Clock::now() + kAnswer};
}

void FleetLink::ask(const json& question, Answer answer) {
  if (!connected_) return answer(away("nothing was changed"));
  const auto letter = next_letter();
  questions_.push_back({replica_, letter, text_of(question)});
  waiting_[letter] = {std::move(answer), Clock::now() + kAnswer};
}

void FleetLink::reply(const Letter& question, const Result<json>& answer) {
  reply(question.from, question.id, answer);
}

void FleetLink::reply(const std::string& replica, const std::string& letter,
                      const Result<json>& answer) {
  answers_.push_back({replica, letter, text_of(answer)});
}

// --- beating ------------------------------------------------------------------------------------

bool FleetLink::due(Clock::time_point now) const {
  const bool quick = !waiting_.empty() || !answers_.empty();
  return now - beaten_ >= (quick && connected_ ? kQuickBeat : kBeat);
}

// What has happened since the last one that was heard becomes the next.
void FleetLink::next_event() {
  if (!event_.empty()) return;
  const Happenings now{first_of(happenings_.outcomes, kMostInEvent),
                       first_of(happenings_.feedback, kMostTold)};
  event_ = bytes_of(now, clock_);
  event_outcomes_ = now.outcomes.size();
  if (!event_.empty()) ++sequence_;
}

Result<BeatHeard> FleetLink::beat(Clock::time_point now) {
  beaten_ = now;
  // Without the store's time nothing can be dated.
  if (!life_.empty()) next_event();
  BeatSaid said;
  said.replica = replica_;
  said.wants_lease = now >= patient_until_;
  said.heard = heard_;
  said.sequence = sequence_;
  const bool says_event = now >= event_again_;
  if (says_event) said.event = event_;
  said.questions = questions_;
  said.answers = answers_;
  const auto asked = Clock::now();
  auto heard = fleet_.beat(said);
  connected_ = heard.has_value();
  if (!heard) {
    // Questions are not asked twice: what they ask for may have been done.
    questions_.clear();
    show(now);
    return heard;
  }
  if (says_event && heard->kept_event) {
    event_.clear();
    event_outcomes_ = 0;
  }
  if (!heard->kept_event) event_again_ = now + kNoRoom;
  take(*heard, asked, Clock::now());
  return heard;
}

void FleetLink::take(const BeatHeard& heard, Clock::time_point asked, Clock::time_point now) {
  questions_.clear();
  answers_.clear();
  // The quicker the answer the nearer its time; what is old counts less and less.
  if (nearest_ != Clock::duration::max()) nearest_ += nearest_ / 64;
  if (now - asked <= nearest_) {
    nearest_ = now - asked;
    clock_ = {asked + (now - asked) / 2, heard.now};
  }
  if (!life_.empty() && life_ != heard.life) {
    // Events go on being numbered: the new life may have one of them already, or all but the last.
    heard_ = 0;
    if (leader_ != replica_) patient_until_ = now + kPatience;
  }
  life_ = heard.life;
  leader_ = heard.leader;
  token_ = heard.token;
  replicas_ = heard.replicas;
  if (leader_ == replica_) leads_until_ = asked + Fleet::kLease - kMargin;
  for (const auto& letter : heard.answers) {
    const auto found = waiting_.find(letter.id);
    if (found == waiting_.end()) continue;
    auto waiting = std::move(found->second);
    waiting_.erase(found);
    waiting.answer(result_of(letter.text));
  }
  show(now);
}

void FleetLink::give_up(Clock::time_point now) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (connected_ && now < it->second.until) {
      ++it;
      continue;
    }
    auto waiting = std::move(it->second);
    it = waiting_.erase(it);
    waiting.answer(connected_ ? nobody("no replica that leads has answered in time")
                              : nobody("the replicas' shared state cannot be reached"));
  }
}

void FleetLink::leave() {
  (void)beat(Clock::now());
  (void)fleet_.leave(replica_);
  connected_ = false;
  give_up(Clock::now());
}

// --- how it stands ------------------------------------------------------------------------------

bool FleetLink::leads(Clock::time_point now) const {
  return leader_ == replica_ && now < leads_until_ && now >= patient_until_;
}

bool FleetLink::everybody_follows(std::uint64_t number) const {
  return std::ranges::all_of(replicas_, [&](const ReplicaSeen& replica) {
    return replica.name == replica_ || (replica.heard >= number && replica.silent <= kPresent);
  });
}

bool FleetLink::everybody_heard(std::uint64_t number) const {
  return std::ranges::all_of(replicas_, [&](const ReplicaSeen& replica) {
    return replica.name == replica_ || replica.heard >= number;
  });
}

bool FleetLink::present_follow(std::uint64_t number) const {
  return std::ranges::all_of(replicas_, [&](const ReplicaSeen& replica) {
    return replica.name == replica_ || replica.heard >= number || replica.silent > kPresent;
  });
}

void FleetLink::show(Clock::time_point now) {
  const View view{.connected = connected_,
                  .leads = leads(now),
                  .replicas = leads(now) ? replicas_.size() : 0,
                  .given_up = given_up_,
                  .waiting = event_outcomes_ + happenings_.outcomes.size()};
  view_.publish(std::make_shared<const View>(view));
}

}  // namespace sluice::release
