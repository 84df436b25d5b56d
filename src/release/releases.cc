#include "release/releases.h"

#include <algorithm>
#include <future>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "release/json_state.h"
#include "release/option_types.h"
#include "release/wall_clock.h"

namespace sluice::release {
namespace {

using Millis = std::chrono::milliseconds;

// A release is looked at so often: a decision takes effect within twice that.
constexpr Millis kTick{10};
// Without a release there is only model.yaml to be looked at.
constexpr Millis kIdleTick{250};
constexpr Millis kSave{1000};
constexpr Millis kLook{250};
// A release in a file may name versions that are still to come.
constexpr Millis kTryAgain{2000};
// A machine that slept has not had a canary run meanwhile.
constexpr Millis kLongestStep{1000};

}  // namespace

Releases::Releases(const Policies& policies, repository::Repository& repository,
                   const ServingTables& tables, observers::EvidenceLog& evidence,
                   std::unique_ptr<StateStore> store)
    : policies_(policies),
      repository_(repository),
      tables_(tables),
      evidence_(evidence),
      store_(std::move(store)),
      link_(store_->fleet() == nullptr
                ? nullptr
                : std::make_unique<FleetLink>(*store_->fleet(), "r-" + random_salt())),
      latest_(std::make_shared<const std::map<std::string, nlohmann::ordered_json>>()),
      archive_(*store_) {}

Releases::~Releases() { close(); }

void Releases::start() {
  thread_.post([this] {
    ticked_ = saved_ = Clock::now();
    tick();
  });
}

void Releases::close() {
  if (closing_.exchange(true)) return;
  std::promise<void> closed;
  thread_.post([&] {
    take_outcomes();
    if (link_ != nullptr) (void)link_->beat(Clock::now());
    if (leads()) {
      take_happenings();
      save();
    }
    if (link_ != nullptr) link_->leave();
    closed.set_value();
  });
  closed.get_future().wait();
}

void Releases::plan_tick() {
  if (closing_) return;
  // One that begins is not kept waiting for a tick that was planned while there was none.
  const bool idle = releases_.empty() && link_ == nullptr;
  thread_.post_at(Clock::now() + (idle ? kIdleTick : kTick), [this, plan = ++plan_] {
    if (plan == plan_) tick();
  });
}

void Releases::tick() {
  if (closing_) return;
  const auto now = Clock::now();
  const auto passed = std::min(kLongestStep, std::chrono::duration_cast<Millis>(now - ticked_));
  ticked_ += passed == kLongestStep ? now - ticked_ : passed;
  take_outcomes();
  if (link_ != nullptr) beat();
  for (auto& [name, release] : releases_) {
    if (leads()) decide(*release, passed);
  }
  if (leads() && now - looked_ >= kLook) {
    looked_ = now;
    look_at_tables();
  }
  if (now - saved_ >= kSave) {
    saved_ = now;
    if (leads()) {
      save();
    } else {
      tell();
    }
  }
  plan_tick();
}

// What requests have ended since the last time.
void Releases::take_outcomes() {
  outcomes_.clear();
  evidence_.fetch(outcomes_);
  if (link_ != nullptr) return link_->happened(outcomes_);
  const auto now = kept_millis();
  for (const auto& outcome : outcomes_) {
    const auto found = by_id_.find(outcome.choice.release);
    if (found != by_id_.end()) found->second->observe(outcome, now);
  }
}

void Releases::decide(RunningRelease& release, Millis passed) {
  const bool hold = link_ != nullptr && (now_millis() < release.holds_from ||
                                         !link_->everybody_follows(release.published));
  if (hold) postpone(release);
  const auto next = release.next(passed, hold);
  if (!next.decision && !next.shares) return;
  if (auto done = carry_out(release, next, "judge"); !done) {
    log::error("model " + release.model().str() +
               ": a decision of its release cannot be kept: " + done.error().message);
  }
}

json Releases::entry_of(const RunningRelease& release, const Decision& decision,
                        std::string_view by, const json& weights) const {
  json out = {{"time", wall_text(wall_millis())}, {"decision", decision.word}, {"by", by},
              {"state", word_of(decision.state)}, {"reason", decision.reason}, {"weights", weights},
              {"revision", release.revision + 1}};
  if (!decision.numbers.is_null()) out["numbers"] = decision.numbers;
  return out;
}

// With its decision; both are on the disk when it returns.
Result<void> Releases::write(RunningRelease& release, const json& entry) {
  const auto& name = release.model().str();
  release.place = std::max(release.place, place_);
  auto put = store_->put("release", name, text_of(release.document()), release.revision,
                         JournalEntry{"release", name, text_of(entry)});
  if (!put) {
    // It may have been written all the same: what is there is read again.
    if (link_ != nullptr) step_down(put.error());
    return Failure(put.error());
  }
  release.revision = *put;
  release.dirty = true;
  ++decisions_[name][text_in(entry, "decision")];
  return {};
}

Result<void> Releases::carry_out(RunningRelease& release, const Next& next, std::string_view by) {
  if (!next.decision) {
    release.apply(next);
    route(release);
    return {};
  }
  const Decision& decision = *next.decision;
  // Among replicas what is not written is not known to the others either.
  const bool rescue = decision.state == State::kRolledBack && link_ == nullptr;
  if (auto saved = save(release); !saved && link_ != nullptr) {
    step_down(saved.error());
    return saved;
  }
  release.patient = by == "judge";
  const auto document = release.document();
  const auto evidence = release.evidence();
  release.apply(next);
  if (rescue) route(release);
  log::info("model " + release.model().str() + ": " + decision.reason);
  // What the judge decided holds also where it cannot be written: the users are what counts. Who
  // decides by hand is told, and nothing has changed.
  auto written = write(release, entry_of(release, decision, by, release.weights()));
  if (!written && !rescue && (by == "api" || link_ != nullptr)) {
    release.restore(document, evidence);
  } else if (!rescue) {
    route(release);
  }
  tell();
  return written;
}

// --- what model.yaml says, and what is loaded ---------------------------------------------------

void Releases::look_at_tables() {
  const auto table = tables_.get();
  for (const auto& [name, entry] : table->models) look_at(*entry);
}

void Releases::look_at(const ModelEntry& entry) {
  const auto& name = entry.name.str();
  RunningRelease* running = find(name);
  if (running != nullptr) {
    const auto& arms = running->policy().arms();
    for (std::size_t i = 0; i < arms.size(); ++i) {
      const auto* version = entry.find(arms[i].str());
      const bool there = version != nullptr &&
                         (version->servable != nullptr || version->state == VersionState::kLoading);
      if (there || entry.ready.empty()) continue;
      if (auto next = running->lost(i)) (void)carry_out(*running, *next, "judge");
    }
  }
  const std::string declared =
      entry.config.release ? canonical_text(json_of(*entry.config.release)) : std::string();
  const auto gone = gone_.find(name);
  const bool ended = running == nullptr && gone != gone_.end();
  if (running != nullptr ? declared == running->declared
                         : declared.empty() || (ended && declared == gone->second.declared)) {
    // One that was ended by hand and is not in the file any more may come back.
    if (ended && declared.empty() && !gone->second.declared.empty()) {
      end(entry.name, {gone->second.revision, {}});
    }
    return;
  }
  if (std::ranges::find(busy_, name) != busy_.end() || entry.ready.empty()) return;
  if (declared.empty()) {
    // One that was set by hand outlives the file's.
    if (running->source() != "file") {
      running->declared.clear();
      return;
    }
    return remove(name, std::nullopt, "file", [](const auto&) {});
  }
  if (const auto refused = refused_.find(name); refused != refused_.end() &&
                                                refused->second.declared == declared &&
                                                Clock::now() < refused->second.again) {
    return;
  }
  auto spec = parse_spec(*entry.config.release);
  if (!spec) return;  // the repository says so
  begin_put(name, std::move(*spec), "file", declared, [this, name, declared](const auto& result) {
    if (result) return void(refused_.erase(name));
    Refused& refused = refused_[name];
    refused.again = Clock::now() + kTryAgain;
    if (std::exchange(refused.declared, declared) == declared) return;
    log::error("model " + name +
               ": the release in its model.yaml cannot be had yet: " + result.error().message);
  });
}

void Releases::install(ReleasePtr release) {
  auto& installed = keep(std::move(release));
  route(installed);
}

// In the place of whatever there was; users are not sent anywhere yet.
RunningRelease& Releases::keep(ReleasePtr release) {
  const auto& name = release->model().str();
  if (const auto* old = find(name)) by_id_.erase(old->id());
  RunningRelease& out = *release;
  by_id_[out.id()] = &out;
  gone_.erase(name);
  const bool first = releases_.empty();
  releases_[name] = std::move(release);
  tell();
  if (first && ticked_ != Clock::time_point{}) plan_tick();
  return out;
}

RunningRelease* Releases::find(const std::string& model) {
  const auto found = releases_.find(model);
  return found == releases_.end() ? nullptr : found->second.get();
}

}  // namespace sluice::release
