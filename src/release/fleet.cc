// One replica among others: the sharing half of releases.h.
#include <algorithm>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "release/json_state.h"
#include "release/option_types.h"
#include "release/releases.h"
#include "release/wall_clock.h"

namespace sluice::release {
namespace {

using Millis = std::chrono::milliseconds;

// How often the leader reads what has happened.
constexpr Millis kRead{50};
// Happenings come in pieces of some megabytes; after so many the thread does something else.
constexpr int kMostPieces = 2;
// After so many outcomes what they have made of releases is stored, whatever the time: a replica
// that takes over begins behind them, and what waits for feedback is stored in pieces.
constexpr std::size_t kStoreAfter = 100'000;
constexpr Millis kLeadAgain{1000};
// Feedback that was taken at a second look is stored so soon.
constexpr Millis kStoreSoon{100};
// As in asking.cc, with the time that a beat of another replica takes.
constexpr Millis kSecondLookAmongAll{400};
constexpr int kMostToldAgain = 10'000;
constexpr int kTries = 5;
constexpr Millis kTryAgain{300};

std::optional<Command> command_of(std::string_view word) {
  for (const auto command :
       {Command::kPromote, Command::kRollback, Command::kPause, Command::kResume}) {
    if (word == word_of(command)) return command;
  }
  return std::nullopt;
}

// Whether it says what a replica that follows `text` does already.
bool same_shares(const RunningRelease& release, const json& text) {
  return count_in(text, "revision") == release.revision &&
         count_in(text, "epoch") == release.epoch() && !flag_in(text, "gone");
}

}  // namespace

std::optional<FleetLink::View> Releases::fleet() const {
  if (link_ == nullptr) return std::nullopt;
  return link_->view();
}

WallMillis Releases::now_millis() const {
  return link_ == nullptr ? kept_millis() : link_->now(Clock::now());
}

Result<void> Releases::join() {
  Result<BeatHeard> heard = link_->beat(Clock::now());
  for (int i = 1; i < kTries && !heard; ++i) {
    std::this_thread::sleep_for(kTryAgain);
    heard = link_->beat(Clock::now());
  }
  if (!heard) return Failure(heard.error());
  heard_life_ = link_->life();
  for (const auto& published : heard->published) follow(published);
  say_heard();
  if (link_->leads(Clock::now())) return lead();
  return {};
}

void Releases::beat() {
  const auto now = Clock::now();
  link_->give_up(now);
  if (link_->due(now)) {
    const bool was = link_->connected();
    const auto heard = link_->beat(now);
    if (was && !heard) {
      log::warn("the replicas' shared state cannot be reached: " + heard.error().message +
                "; users go where they went, and nothing is decided until it is back");
    }
    if (!was && heard) log::info("the replicas' shared state is there again");
    if (heard) {
      // Numbers of another life say nothing.
      if (std::exchange(heard_life_, link_->life()) != link_->life()) {
        newest_heard_ = 0;
        preparing_.clear();
        retell_ = true;
      }
      // Before it follows what whoever leads by now has published.
      end_leading(now);
      for (const auto& published : heard->published) follow(published);
      say_heard();
      for (const auto& question : heard->questions) answer_question(question);
    }
  }
  end_leading(now);
  if (!leading_ && link_->leads(now) && now >= lead_again_) {
    if (auto led = lead(); !led) step_down(led.error());
  }
  if (leading_ && now - read_ >= kRead) {
    read_ = now;
    take_happenings();
  }
  if (leading_ && !late_replies_.empty() && now - saved_ >= kStoreSoon) {
    saved_ = now;
    save();
  }
  begin_awaited();
}

void Releases::end_leading(Clock::time_point now) {
  if (!leading_ || (link_->leads(now) && link_->life() == life_)) return;
  leading_ = false;
  log::info("this replica decides no longer");
}

// --- leading ------------------------------------------------------------------------------------

// What was stored is what holds, whoever led before.
Result<void> Releases::lead() {
  store_->fleet()->write_under(link_->token());
  auto ended = std::exchange(gone_, {});
  auto all = rebuild_all();
  if (!all) {
    gone_ = std::move(ended);
    return Failure(all.error());
  }
  life_ = link_->life();
  place_ = 0;
  leading_ = true;
  // One that is ended leaves a document: where there is none at all, there were none before.
  const bool nothing = all->empty() && gone_.empty();
  if (nothing && (!releases_.empty() || !ended.empty())) {
    gone_ = std::move(ended);
    SLUICE_CHECK(store_again());
    retell_ = !leading_;
    return {};
  }
  log::info("this replica decides for all replicas that share its state");
  SLUICE_CHECK(hold_to_what_was_said(*all));
  for (auto& [name, release] : *all) {
    const auto known = followed_.find(name);
    const auto text = known == followed_.end() ? json() : parsed(known->second.text);
    release->catch_up(part_of(text, "document"));
    auto& kept = keep(std::move(release));
    // Who knows of no other has nobody to wait for.
    if (known == followed_.end()) repository_.set_route(kept.model(), kept.route());
    if (same_shares(kept, text) && !retell_) {
      kept.published = known->second.number;
    } else {
      route(kept);
      if (!leading_) return {};  // it could not be stored
    }
  }
  forget_ended();
  for (const auto& [name, gone] : gone_) {
    const auto known = followed_.find(name);
    const bool told = known != followed_.end() &&
                      count_in(parsed(known->second.text), "revision") == gone.revision;
    if (told && !retell_) continue;
    const auto model = *ModelName::parse(name);
    set_end(model, gone);
    publish_end(model, gone);
  }
  for (auto& [name, release] : releases_) {
    if (!all->contains(name)) SLUICE_CHECK(store_again(*release));
  }
  retell_ = !leading_;
  return {};
}

// Those that the store has as ended: whoever ended them died before anybody was told, say.
void Releases::forget_ended() {
  const auto before = releases_.size();
  for (const auto& [name, gone] : gone_) {
    const auto* release = find(name);
    if (release == nullptr) continue;
    by_id_.erase(release->id());
    releases_.erase(name);
    archive_.forget(name);
  }
  if (releases_.size() != before) tell();
}

// A store that is a copy which was behind (a failover) knows less than was said and is followed:
// what somebody was told of holds, and is stored again.
Result<void> Releases::hold_to_what_was_said(std::map<std::string, ReleasePtr>& stored) {
  const auto followed = followed_;
  for (const auto& [name, published] : followed) {
    const auto text = parsed(published.text);
    const auto there = stored.find(name);
    const auto ended = gone_.find(name);
    const std::uint64_t revision = there != stored.end()  ? there->second->revision
                                   : ended != gone_.end() ? ended->second.revision
                                                          : 0;
    if (revision == 0 || count_in(text, "revision") <= revision) continue;
    log::warn("model " + name +
              ": the replicas' shared state has an older revision of its release than this "
              "replica; what this replica knows is stored again");
    if (!flag_in(text, "gone")) {
      auto anew = from_document(*ModelName::parse(name), part_of(text, "document"), revision);
      if (!anew) continue;  // nobody can follow it
      SLUICE_CHECK(hold_to(part_of(text, "document"), *std::move(anew), stored[name]));
    } else if (there != stored.end()) {
      SLUICE_CHECK(hold_to_end(text, *there->second));
      stored.erase(there);
    }
    // The others are told in any case.
    followed_.erase(name);
  }
  return {};
}

// `release`: as it was stored; none: as ended. `anew`: as it was begun.
Result<void> Releases::hold_to(const json& document, ReleasePtr anew, ReleasePtr& release) {
  // Of the same one the evidence, and what that has seen, are those that are stored.
  const bool same = release != nullptr && release->id() == anew->id();
  const std::uint64_t place = same ? release->place : 0;
  if (!same) {
    archive_.begin_anew(anew->model().str());
    release = std::move(anew);
  }
  release->restore(document, json());
  release->place = place;
  const Decision kept{"kept",
                      "The replicas' shared state had lost what was decided last: it holds as a "
                      "replica knew it.",
                      release->state(),
                      {}};
  SLUICE_CHECK(write(*release, entry_of(*release, kept, "fleet", release->weights())));
  return same ? Result<void>() : save(*release);
}

Result<void> Releases::hold_to_end(const json& text, const RunningRelease& release) {
  const auto& name = release.model().str();
  const Decision kept{"kept",
                      "The replicas' shared state had lost that this release was removed: it is.",
                      State::kRunning,
                      {}};
  Gone gone{0, text_in(text, "declared")};
  const auto body = text_of(json{{"removed", true}, {"declared", gone.declared}});
  const auto entry = text_of(entry_of(release, kept, "fleet", json::object()));
  SLUICE_TRY(gone.revision, store_->put("release", name, body, release.revision,
                                        JournalEntry{"release", name, entry}));
  archive_.forget(name);
  gone_[name] = std::move(gone);
  return {};
}

Result<void> Releases::store_again() {
  log::warn(
      "the replicas' shared state had lost all that it had; what this replica knows is "
      "stored again");
  for (auto& [name, release] : releases_) SLUICE_CHECK(store_again(*release));
  for (auto& [name, gone] : gone_) {
    const auto text = text_of(json{{"removed", true}, {"declared", gone.declared}});
    SLUICE_TRY(gone.revision, store_->put("release", name, text, 0, std::nullopt));
    publish_end(*ModelName::parse(name), gone);
  }
  return {};
}

// One that is there and cannot be read stays as it is.
Result<void> Releases::store_again(RunningRelease& release) {
  const auto& name = release.model().str();
  SLUICE_TRY(const auto there, store_->document("release", name));
  if (there) return {};
  // Revisions begin anew: that of what is followed says nothing from here on.
  followed_.erase(name);
  release.revision = 0;
  release.place = 0;
  release.dirty = true;
  archive_.store_lost(name);
  const Decision kept{"kept",
                      "The replicas' shared state had lost this release: it goes on as a replica "
                      "knew it.",
                      release.state(),
                      {}};
  SLUICE_CHECK(save(release));
  SLUICE_CHECK(write(release, entry_of(release, kept, "fleet", release.weights())));
  route(release);
  return {};
}

// Whatever was being done may be half done in the store: it is taken up anew from there.
void Releases::step_down(const Error& why) {
  if (!leading_ && lead_again_ > Clock::now()) return;
  const bool led = std::exchange(leading_, false);
  lead_again_ = Clock::now() + kLeadAgain;
  // That the store is away has been said.
  if (!led && !link_->connected()) return;
  log::warn("this replica stops deciding for the others: " + why.message);
}

// What can be done again without harm ends nothing as long as the lease holds: a busy store answers
// late now and then.
void Releases::stumble(const Error& why) {
  if (why.code != Code::kUnavailable) step_down(why);
}

void Releases::take_happenings() {
  if (link_ == nullptr) return;
  for (int piece = 0; piece < kMostPieces && leading_; ++piece) {
    const auto events = store_->fleet()->events(link_->token(), place_);
    if (!events) return stumble(events.error());
    for (const auto& event : *events) take_up(event);
    if (events->empty()) return;
    if (unsaved_ < kStoreAfter) continue;
    saved_ = Clock::now();
    save();
  }
  read_ = {};  // there may be more
}

void Releases::take_up(const FleetEvent& event) {
  const HappeningReader reader{
      [&](const Outcome& outcome, WallMillis at) {
        const auto found = by_id_.find(outcome.choice.release);
        const bool counts = found != by_id_.end() && event.place > found->second->place;
        if (!counts) return;
        found->second->observe(outcome, at);
        ++unsaved_;
      },
      [&](ToldFeedback told) { take_told(std::move(told), event.replica, event.place, true); }};
  if (!read_happenings(event.bytes, link_->clock(), reader)) {
    log::warn("a part of what another replica has seen cannot be read: is it of another version?");
  }
  place_ = event.place;
}

// A request may be told of before the replica that answered it has said so: then a moment later. By
// then what it was told with may be forgotten, so that its answer waits until the reward is stored.
void Releases::take_told(ToldFeedback told, const std::string& replica, std::uint64_t place,
                         bool again) {
  // Another one has it again from what happened, or nobody: who told it is not answered, and tells
  // it again.
  if (!leading_) return;
  auto taken = take(told.model, told.told, place);
  if (taken && !again) {
    late_replies_.push_back({replica, told.letter, std::move(taken)});
    return;
  }
  const bool unknown = !taken && taken.error().reason == "unknown_request";
  if (!unknown || !again || waiting_ >= kMostToldAgain) {
    return link_->reply(replica, told.letter, taken);
  }
  ++waiting_;
  thread_.post_at(Clock::now() + kSecondLookAmongAll,
                  [this, told = std::move(told), replica]() mutable {
                    --waiting_;
                    take_told(std::move(told), replica, ~std::uint64_t{0}, false);
                  });
}

bool Releases::forward(json question, Answer& answer) {
  if (leads()) return false;
  link_->ask(question, std::move(answer));
  return true;
}

void Releases::answer_question(const Letter& letter) {
  const auto question = parsed(letter.text);
  Answer answer = [this, letter](const Result<json>& result) { link_->reply(letter, result); };
  const auto ask = text_in(question, "ask");
  auto model = text_in(question, "model");
  std::optional<std::uint64_t> revision;
  if (part_of(question, "revision").is_number()) revision = count_in(question, "revision");
  if (const auto told = command_of(ask)) {
    return command(std::move(model), *told, text_in(question, "version"), revision,
                   std::move(answer));
  }
  if (ask == "put") {
    return put(std::move(model), part_of(question, "body"), revision, std::move(answer));
  }
  if (ask == "remove") {
    return remove(std::move(model), revision, text_in(question, "by", "api"), std::move(answer));
  }
  if (ask == "status") return status(std::move(model), std::move(answer));
  if (ask == "bandit") return bandit(std::move(model), std::move(answer));
  answer(
      fail(Code::kUnimplemented, "unsupported",
           "the replica that decides does not know what it is asked: is it of another version?"));
}

}  // namespace sluice::release
