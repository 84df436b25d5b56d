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
      latest_(std::make_shared<const std::map<std::string, nlohmann::ordered_json>>()) {}

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
    learn();
    save();
    closed.set_value();
  });
  closed.get_future().wait();
}

void Releases::plan_tick() {
  if (closing_) return;
  // One that begins is not kept waiting for a tick that was planned while there was none.
  thread_.post_at(Clock::now() + (releases_.empty() ? kIdleTick : kTick), [this, plan = ++plan_] {
    if (plan == plan_) tick();
  });
}

void Releases::tick() {
  if (closing_) return;
  const auto now = Clock::now();
  const auto passed = std::min(kLongestStep, std::chrono::duration_cast<Millis>(now - ticked_));
  ticked_ += passed == kLongestStep ? now - ticked_ : passed;
  learn();
  for (auto& [name, release] : releases_) decide(*release, passed);
  if (now - looked_ >= kLook) {
    looked_ = now;
    look_at_tables();
  }
  if (now - saved_ >= kSave) {
    saved_ = now;
    save();
  }
  plan_tick();
}

// What requests have ended since the last time.
void Releases::learn() {
  outcomes_.clear();
  evidence_.fetch(outcomes_);
  const auto now = kept_millis();
  for (const auto& outcome : outcomes_) {
    const auto found = by_id_.find(outcome.choice.release);
    if (found != by_id_.end()) found->second->observe(outcome, now);
  }
}

void Releases::decide(RunningRelease& release, Millis passed) {
  const auto next = release.next(passed);
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
  SLUICE_TRY(release.revision,
             store_->put("release", name, text_of(release.document()), release.revision,
                         JournalEntry{"release", name, text_of(entry)}));
  release.dirty = true;
  ++decisions_[name][text_in(entry, "decision")];
  return {};
}

Result<void> Releases::carry_out(RunningRelease& release, const Next& next, std::string_view by) {
  const auto route = [&] { repository_.set_route(release.model(), release.route()); };
  if (!next.decision) {
    release.apply(next);
    route();
    return {};
  }
  const Decision& decision = *next.decision;
  const bool rescue = decision.state == State::kRolledBack;
  const auto document = release.document();
  const auto evidence = release.evidence();
  release.apply(next);
  if (rescue) route();
  log::info("model " + release.model().str() + ": " + decision.reason);
  // What the judge decided holds also where it cannot be written: the users are what counts. Who
  // decides by hand is told, and nothing has changed.
  auto written = write(release, entry_of(release, decision, by, release.weights()));
  if (!written && by == "api" && !rescue) {
    release.restore(document, evidence);
  } else if (!rescue) {
    route();
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

// --- what is kept -------------------------------------------------------------------------------

void Releases::save() {
  for (auto& [name, release] : releases_) {
    release->expire(kept_millis());
    save(*release);
  }
  tell();
}

// What metrics and listings show.
void Releases::tell() {
  auto latest = std::make_shared<std::map<std::string, json>>();
  for (const auto& [name, release] : releases_) {
    auto& status = (*latest)[name] = release->status();
    status["decisions"] = json(decisions_[name]);
  }
  latest_.publish(std::move(latest));
}

void Releases::save(RunningRelease& release) {
  if (!release.dirty) return;
  const auto& name = release.model().str();
  if (auto saved = store_->save("evidence", name, text_of(release.evidence())); !saved) {
    log::warn("model " + name +
              ": what its release has seen cannot be kept: " + saved.error().message);
    return;
  }
  release.dirty = false;
  if (const auto users = release.take_users(); !users.empty()) {
    (void)store_->put_blob("users", name, pieces_[name].users++, users);
  }
  save_feedback(release);
}

void Releases::save_feedback(RunningRelease& release) {
  const auto& name = release.model().str();
  const auto news = release.book().take_news();
  if (news.empty()) return;
  Pieces& pieces = pieces_[name];
  if (auto kept = store_->put_blob("feedback", name, pieces.next, news); !kept) {
    log::warn("model " + name +
              ": feedback that is waited for cannot be kept: " + kept.error().message);
    return;
  }
  pieces.kept.push_back({pieces.next++, kept_millis(), FeedbackBook::entries(news)});
  pieces.entries += pieces.kept.back().entries;
  // A request is written when it comes and when it is answered.
  constexpr std::size_t kMost = 2 * FeedbackBook::kMost;
  const auto over = kept_millis() - release.policy().reward_ttl().count();
  bool drops = false;
  while (!pieces.kept.empty() && (pieces.kept.front().at < over || pieces.entries > kMost)) {
    pieces.entries -= pieces.kept.front().entries;
    pieces.kept.pop_front();
    drops = true;
  }
  if (!drops) return;
  const auto below = pieces.kept.empty() ? pieces.next : pieces.kept.front().number;
  (void)store_->drop_blobs("feedback", name, below);
}

Result<Releases::ReleasePtr> Releases::rebuild(const StoredDocument& stored) {
  const auto document = json::parse(stored.body, nullptr, /*allow_exceptions=*/false);
  SLUICE_TRY(auto model, ModelName::parse(stored.key));
  SLUICE_TRY(auto spec, parse_spec(part_of(document, "spec")));
  SLUICE_TRY(auto policy, policies_.make(spec));
  auto out = std::make_unique<RunningRelease>(std::move(model), std::move(spec), std::move(policy),
                                              next_id_++, text_in(document, "salt"),
                                              text_in(document, "source", "api"));
  out->revision = stored.revision;
  SLUICE_TRY(const auto saved, store_->saved("evidence", stored.key));
  const auto evidence = saved ? json::parse(*saved, nullptr, /*allow_exceptions=*/false) : json();
  out->restore(document, evidence);
  SLUICE_TRY(const auto users, store_->blobs("users", stored.key));
  for (const auto& blob : users) {
    out->restore_users(blob.bytes);
    pieces_[stored.key].users = blob.number + 1;
  }
  SLUICE_TRY(const auto blobs, store_->blobs("feedback", stored.key));
  for (const auto& blob : blobs) {
    out->book().restore(blob.bytes);
    Pieces& pieces = pieces_[stored.key];
    pieces.next = std::max(pieces.next, blob.number + 1);
    pieces.kept.push_back({blob.number, kept_millis(), FeedbackBook::entries(blob.bytes)});
    pieces.entries += pieces.kept.back().entries;
  }
  return out;
}

Result<void> Releases::restore() {
  SLUICE_TRY(const auto stored, store_->documents("release"));
  for (const auto& document : stored) {
    const auto read = json::parse(document.body, nullptr, /*allow_exceptions=*/false);
    if (flag_in(read, "removed")) {
      if (auto name = ModelName::parse(document.key)) {
        end(*name, {document.revision, text_in(read, "declared")});
      }
      continue;
    }
    auto release = rebuild(document);
    if (!release) {
      log::error("model " + document.key +
                 ": its release cannot be taken up again: " + release.error().message);
      continue;
    }
    log::info("model " + document.key + ": its " + (*release)->spec().policy + " goes on, " +
              std::string(word_of((*release)->state())));
    install(std::move(*release));
  }
  return {};
}

void Releases::install(ReleasePtr release) {
  const auto& name = release->model().str();
  if (const auto* old = find(name)) by_id_.erase(old->id());
  by_id_[release->id()] = release.get();
  repository_.set_route(release->model(), release->route());
  gone_.erase(name);
  const bool first = releases_.empty();
  releases_[name] = std::move(release);
  tell();
  if (first && ticked_ != Clock::time_point{}) plan_tick();
}

RunningRelease* Releases::find(const std::string& model) {
  const auto found = releases_.find(model);
  return found == releases_.end() ? nullptr : found->second.get();
}

}  // namespace sluice::release
