// How versions are loaded and what comes of it: the loading half of repository.h.
#include <algorithm>

#include "base/log.h"
#include "repository/repository.h"

namespace sluice::repository {
namespace {

using Clock = std::chrono::steady_clock;

// How often those that wait for others to be fetched look whether there is a place.
constexpr std::chrono::milliseconds kFetchesAgain{500};

Failure not_wanted() { return unavailable("abandoned", "it is not wanted any more"); }

}  // namespace

void Repository::start_loads(const std::string& only) {
  const auto now = Clock::now();
  for (auto& [name, model] : models_) {
    if (!only.empty() && only != name) continue;
    bool any = false;
    for (auto& [version, slot] : model.versions) {
      if (!should_load(model, slot, now)) continue;
      start_load(model, slot);
      any = true;
    }
    if (any) publish_model(name);
  }
}

void Repository::start_load(ModelSlot& model, VersionSlot& version) {
  if (closing_) return;
  version.loading = true;
  version.abandoned = std::make_shared<std::atomic<bool>>(false);
  version.demanded = false;
  ++loading_;
  post_load(
      std::make_shared<LoadJob>(LoadJob{model.wanted, version.wanted, version.seen, version.tally,
                                        version.abandoned, live_.allow_code, std::nullopt}));
}

void Repository::post_load(std::shared_ptr<LoadJob> job) {
  loaders_->post([this, job = std::move(job)]() mutable {
    Result<std::optional<LoadedVersion>> loaded = not_wanted();
    if (still_wanted(*job)) loaded = loader_.load(*job);
    control_.post([this, job = std::move(job), loaded = std::move(loaded)]() mutable {
      if (!loaded) {
        end_load(*job, Failure(std::move(loaded.error())));
      } else if (*loaded) {
        end_load(*job, std::move(**loaded));
      } else {
        fetches_.enter(std::move(job));
      }
      start_fetches();
    });
  });
}

void Repository::start_fetches() {
  while (auto job = fetches_.next(Clock::now())) post_fetch(std::move(job));
  if (!fetches_.anybody_waits() || std::exchange(fetches_planned_, true)) return;
  control_.post_at(Clock::now() + kFetchesAgain, [this] {
    fetches_planned_ = false;
    start_fetches();
  });
}

void Repository::post_fetch(std::shared_ptr<LoadJob> job) {
  if (!still_wanted(*job)) return end_load(*job, not_wanted());
  if (!fetchers_) fetchers_.emplace("fetcher", static_cast<int>(FetchLine::kMost));
  // They wait for a network, and digest what comes; a download's own threads step aside.
  fetchers_->post([this, job = std::move(job)]() mutable {
    auto fetched = loader_.fetch(*job);
    control_.post([this, job = std::move(job), fetched = std::move(fetched)]() mutable {
      if (fetched && still_wanted(*job)) {
        fetches_.fetched(*job);
        post_load(std::move(job));
      } else if (fetched || fetched.error().reason == "stopped") {
        end_load(*job, not_wanted());
      } else {
        end_load(*job, Failure(std::move(fetched.error())));
      }
      start_fetches();
    });
  });
}

void Repository::end_load(const LoadJob& job, Result<LoadedVersion> loaded) {
  --loading_;
  fetches_.leave(job);
  const auto& name = job.model.name.str();
  VersionSlot* slot = find_slot(name, job.version.name);
  // Of a version that went and came again meanwhile, another load may be under way.
  if (slot != nullptr && slot->abandoned == job.abandoned) {
    finish_load(name, *slot, job.seen, std::move(loaded));
  }
  answer_asked();
  answer_needed();
  finish_first();
}

void Repository::finish_load(const std::string& name, VersionSlot& slot, const std::string& seen,
                             Result<LoadedVersion> loaded) {
  ModelSlot& model = models_.at(name);
  slot.loading = false;
  // With explicit control a model may have been unloaded meanwhile.
  if (model.active) settle(name, model, slot, seen, std::move(loaded));
  start_loads(name);  // also of another, where this one was to take over and cannot
}

VersionSlot* Repository::find_slot(const std::string& name, const VersionName& version) {
  const auto model = models_.find(name);
  if (model == models_.end()) return nullptr;
  const auto slot = model->second.versions.find(version);
  return slot == model->second.versions.end() ? nullptr : &slot->second;
}

// What came of loading a version that is still wanted.
void Repository::settle(const std::string& name, ModelSlot& model, VersionSlot& slot,
                        const std::string& seen, Result<LoadedVersion> loaded) {
  if (!loaded && loaded.error().reason == "abandoned") {
    // Its files are others now; whoever waits for it waits for those.
    slot.demanded = guests_.anybody_for(name, slot.wanted.name.str());
    publish_model(name);
    if (slot.demanded && !should_load(model, slot, Clock::now())) tell_guests(name, model, slot);
    return;
  }
  if (loaded && !make_room_for(slot, loaded->bytes)) {
    loaded = unavailable("no_memory", "it takes " + std::to_string((loaded->bytes >> 20) + 1) +
                                          " MiB, which do not fit into max_models_memory (" +
                                          std::to_string(live_.max_memory >> 20) + " MiB)");
  }
  if (loaded) {
    accept(name, model, slot, seen, std::move(*loaded));
  } else {
    refuse(name, slot, seen, loaded.error());
  }
  publish_model(name);
  tell_guests(name, model, slot);
  // At last: it may have been of this very slot that newer files came.
  if (retire(name, model)) publish_model(name);
}

// Whoever wanted just this version, or any, hears of it; for the latter an older one may do.
void Repository::tell_guests(const std::string& name, ModelSlot& model, VersionSlot& slot) {
  const auto& version = slot.wanted.name;
  auto guests = guests_.take(name, version.str());
  for (auto& guest : guests) {
    if (slot.servable != nullptr) {
      guest.then(slot.servable);
      continue;
    }
    auto* older = guest.any_version ? usable_before(model, &version) : nullptr;
    if (older == nullptr && guest.any_version) older = running(model);
    if (older != nullptr) {
      seat(name, model, *older, std::move(guest));
    } else {
      guest.then(cannot_serve(name, slot));
    }
  }
}

VersionSlot* Repository::running(ModelSlot& model) {
  for (auto& [name, slot] : model.versions) {
    if (slot.servable != nullptr) return &slot;
  }
  return nullptr;
}

// Versions that were kept until those that are wanted now are there.
bool Repository::retire(const std::string& name, ModelSlot& model) {
  if (!may_retire(model)) return false;
  const auto retired = std::erase_if(model.versions, [&](const auto& entry) {
    if (!entry.second.retiring) return false;
    *entry.second.abandoned = true;  // its newer files may be on their way
    log::info(title(name, entry.second.wanted) + " is retired");
    return true;
  });
  return retired > 0;
}

void Repository::accept(const std::string& name, ModelSlot& model, VersionSlot& version,
                        const std::string& seen, LoadedVersion loaded) {
  const bool replaced = version.servable != nullptr;
  version.servable = std::move(loaded.servable);
  version.bytes = loaded.bytes;
  version.running = seen;
  version.reason.clear();
  version.failed.clear();
  version.failures = 0;
  ++version.loads;
  version.loaded_at = Clock::now();
  version.loaded_ms =
      std::chrono::duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  log::info(title(name, version.wanted) + (replaced ? " is replaced" : " is ready"));
  const auto& loading = model.wanted.config.loading;
  if (loading.kind != Loading::Kind::kTtl) return;
  control_.post_at(version.loaded_at + loading.ttl, [this] {
    if (!closing_) start_loads();
  });
}

void Repository::refuse(const std::string& name, VersionSlot& version, const std::string& seen,
                        const Error& error) {
  const bool runs = version.servable != nullptr;
  const bool told = version.reason == error.message;
  ++version.failed_loads;
  version.reason = error.message;
  if (error.code == Code::kUnavailable) {
    version.demanded = true;  // a lazy one was wanted, and still is
    version.retry_at = Clock::now() + back_off(++version.failures);
    control_.post_at(version.retry_at, [this] {
      if (!closing_) start_loads();
    });
  } else {
    version.failed = seen;
  }
  if (told) return;
  log::error(
      title(name, version.wanted) +
      (runs ? ": its newer files are not served, what ran before goes on: " : " is not served: ") +
      error.message);
}

bool Repository::make_room_for(VersionSlot& version, std::uint64_t bytes) {
  if (live_.max_memory == 0) return true;
  const auto eviction = make_room(models_, bytes, live_.max_memory, &version);
  for (const auto& [name, victim] : eviction.victims) {
    VersionSlot& slot = models_.at(name).versions.at(victim);
    slot.servable = nullptr;
    slot.running.clear();
    log::info(title(name, slot.wanted) + " makes room for others");
    publish_model(name);
  }
  return eviction.fits;
}

}  // namespace sluice::repository
