// How versions are loaded and what comes of it: the loading half of repository.h.
#include <algorithm>

#include "base/log.h"
#include "repository/repository.h"

namespace sluice::repository {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

void Repository::start_loads(const std::string& only) {
  const auto now = Clock::now();
  for (auto& [name, model] : models_) {
    if (!only.empty() && only != name) continue;
    for (auto& [version, slot] : model.versions) {
      if (should_load(model, slot, now)) start_load(name, model, slot);
    }
  }
}

void Repository::start_load(const std::string& name, ModelSlot& model, VersionSlot& version) {
  if (closing_) return;
  version.loading = true;
  version.demanded = false;
  ++loading_;
  loaders_->post([this, name, wanted = model.wanted, which = version.wanted,
                  tally = version.tally, seen = version.seen]() mutable {
    auto loaded = closing_ ? Result<LoadedVersion>(unavailable("draining", "shutting down"))
                           : loader_.load(wanted, which, std::move(tally));
    control_.post([this, name, version = which.name, seen, loaded = std::move(loaded)]() mutable {
      finish_load(name, version, seen, std::move(loaded));
    });
  });
}

void Repository::finish_load(const std::string& name, const VersionName& version,
                             const std::string& seen, Result<LoadedVersion> loaded) {
  --loading_;
  const auto model = models_.find(name);
  const auto slot = model == models_.end() ? decltype(model->second.versions.find(version)){}
                                           : model->second.versions.find(version);
  const bool still_there = model != models_.end() && slot != model->second.versions.end();
  if (!still_there || !model->second.active) {
    if (still_there) slot->second.loading = false;
    guests_.tell(name, version.str(), not_found("unknown_version", "the version is gone"));
  } else {
    slot->second.loading = false;
    if (loaded && !make_room_for(slot->second, loaded->bytes)) {
      const auto mib = [](std::uint64_t bytes) { return std::to_string((bytes >> 20) + 1); };
      loaded = unavailable("no_memory", "it takes " + mib(loaded->bytes) +
                                            " MiB, which do not fit into max_models_memory (" +
                                            mib(options_.max_memory) + " MiB)");
    }
    if (loaded) {
      accept(name, model->second, slot->second, seen, std::move(*loaded));
    } else {
      refuse(name, slot->second, seen, loaded.error());
    }
    publish_model(name);
    const auto& servable = slot->second.servable;
    guests_.tell(name, version.str(),
                 servable != nullptr
                     ? Result<std::shared_ptr<const Servable>>(servable)
                     : unavailable("model_failed", title(name, slot->second.wanted) +
                                                       " cannot be served: " +
                                                       slot->second.reason));
    if (should_load(model->second, slot->second, Clock::now())) {
      start_load(name, model->second, slot->second);
    }
  }
  answer_asked();
  finish_first();
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
  version.loaded_at = Clock::now();
  version.loaded_ms = std::chrono::duration_cast<Millis>(
                          std::chrono::system_clock::now().time_since_epoch())
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
  version.reason = error.message;
  if (error.code == Code::kUnavailable) {
    version.retry_at = Clock::now() + back_off(++version.failures);
    control_.post_at(version.retry_at, [this] {
      if (!closing_) start_loads();
    });
  } else {
    version.failed = seen;
  }
  if (told) return;
  log::error(title(name, version.wanted) +
             (runs ? ": its newer files are not served, what ran before goes on: "
                   : " is not served: ") +
             error.message);
}

bool Repository::make_room_for(VersionSlot& version, std::uint64_t bytes) {
  if (options_.max_memory == 0) return true;
  const auto eviction = make_room(models_, bytes, options_.max_memory, &version);
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
