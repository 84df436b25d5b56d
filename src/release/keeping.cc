// What of releases is stored, and how they are taken up again: the keeping half of releases.h.
#include <algorithm>

#include "base/log.h"
#include "release/json_state.h"
#include "release/option_types.h"
#include "release/releases.h"

namespace sluice::release {
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

Result<void> Releases::save(RunningRelease& release) {
  if (!release.dirty) return {};
  release.place = std::max(release.place, place_);
  auto saved = archive_.save(release, now_millis());
  if (saved) return saved;
  log::warn("model " + release.model().str() +
            ": what its release has seen cannot be kept: " + saved.error().message);
  if (link_ != nullptr) stumble(saved.error());
  return saved;
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
  SLUICE_CHECK(archive_.restore(*out, document));
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
