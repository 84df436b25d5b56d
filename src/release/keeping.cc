// What of releases is stored, and how they are taken up again: the keeping half of releases.h.
#include <algorithm>

#include "base/log.h"
#include "release/json_state.h"
#include "release/option_types.h"
#include "release/releases.h"

namespace sluice::release {
namespace {

// Of a piece of what waits for feedback: a few megabytes.
constexpr std::size_t kMostInPiece = 80'000;  // entries

std::vector<std::string_view> parts_of(std::string_view news) {
  constexpr std::size_t kMost = kMostInPiece * FeedbackBook::kEntryBytes;
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < news.size(); at += kMost) out.push_back(news.substr(at, kMost));
  return out;
}

}  // namespace

void Releases::save() {
  for (auto& [name, release] : releases_) {
    release->expire(now_millis());
    if (!save(*release) && link_ != nullptr) return;
  }
  tell();
  unsaved_ = 0;
  if (link_ == nullptr) return;
  for (auto& late : std::exchange(late_replies_, {})) {
    link_->reply(late.replica, late.letter, late.answer);
  }
  if (auto done = store_->fleet()->forget(link_->token(), place_); !done) stumble(done.error());
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

// What it has seen, who was counted and what waits for feedback: together, or none of it.
Result<void> Releases::save(RunningRelease& release) {
  if (!release.dirty) return {};
  const auto& name = release.model().str();
  Pieces& pieces = pieces_[name];
  release.place = std::max(release.place, place_);
  const auto users = release.users_since();
  const auto news = release.book().news();
  std::vector<SavedPiece> with;
  if (!users.empty()) with.push_back({"users", pieces.users, users});
  const auto parts = parts_of(news);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    with.push_back({"feedback", pieces.next + i, parts[i]});
  }
  if (auto saved = store_->save("evidence", name, text_of(release.evidence()), with); !saved) {
    log::warn("model " + name +
              ": what its release has seen cannot be kept: " + saved.error().message);
    if (link_ != nullptr) stumble(saved.error());
    return saved;
  }
  release.dirty = false;
  release.forget_users_since();
  release.book().forget_news();
  if (!users.empty()) ++pieces.users;
  for (const auto part : parts) kept_feedback(release, FeedbackBook::entries(part));
  return {};
}

// A piece more; those that are too old, or too many, go.
void Releases::kept_feedback(RunningRelease& release, std::size_t entries) {
  const auto& name = release.model().str();
  Pieces& pieces = pieces_[name];
  pieces.kept.push_back({pieces.next++, now_millis(), entries});
  pieces.entries += entries;
  // A request is written when it comes and when it is answered.
  constexpr std::size_t kMost = 2 * FeedbackBook::kMost;
  const auto over = now_millis() - release.policy().reward_ttl().count();
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

// As it was begun; nothing of what it has done since.
Result<Releases::ReleasePtr> Releases::from_document(ModelName model, const json& document,
                                                     std::uint64_t revision) {
  SLUICE_TRY(auto spec, parse_spec(part_of(document, "spec")));
  SLUICE_TRY(auto policy, policies_.make(spec));
  auto out = std::make_unique<RunningRelease>(
      std::move(model), std::move(spec), std::move(policy), count_in(document, "birth", revision),
      text_in(document, "salt"), text_in(document, "source", "api"));
  out->revision = revision;
  return out;
}

Result<Releases::ReleasePtr> Releases::rebuild(const StoredDocument& stored) {
  const auto document = parsed(stored.body);
  SLUICE_TRY(auto model, ModelName::parse(stored.key));
  SLUICE_TRY(auto out, from_document(std::move(model), document, stored.revision));
  SLUICE_TRY(const auto saved, store_->saved("evidence", stored.key));
  const auto evidence = saved ? parsed(*saved) : json();
  out->restore(document, evidence);
  pieces_.erase(stored.key);
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
    pieces.kept.push_back({blob.number, now_millis(), FeedbackBook::entries(blob.bytes)});
    pieces.entries += pieces.kept.back().entries;
  }
  return out;
}

// All that are stored; those that were ended are remembered as such.
Result<std::map<std::string, Releases::ReleasePtr>> Releases::rebuild_all() {
  std::map<std::string, ReleasePtr> out;
  SLUICE_TRY(const auto stored, store_->documents("release"));
  for (const auto& document : stored) {
    const auto read = parsed(document.body);
    if (flag_in(read, "removed")) {
      if (!ModelName::parse(document.key)) continue;
      gone_[document.key] = {document.revision, text_in(read, "declared")};
      continue;
    }
    auto release = rebuild(document);
    if (!release && release.error().code == Code::kUnavailable) return Failure(release.error());
    if (!release) {
      log::error("model " + document.key +
                 ": its release cannot be taken up again: " + release.error().message);
      continue;
    }
    out[document.key] = std::move(*release);
  }
  return out;
}

Result<void> Releases::restore() {
  if (link_ != nullptr) return join();
  SLUICE_TRY(auto all, rebuild_all());
  for (const auto& [name, gone] : gone_) set_end(*ModelName::parse(name), gone);
  for (auto& [name, release] : all) {
    log::info("model " + name + ": its " + release->spec().policy + " goes on, " +
              std::string(word_of(release->state())));
    install(std::move(release));
  }
  return {};
}

}  // namespace sluice::release
