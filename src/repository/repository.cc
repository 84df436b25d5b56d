#include "repository/repository.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "repository/version_policy.h"

namespace sluice::repository {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Repository::Repository(Source& source, const Registry<Engine>& engines,
                       const ServableFactory& servables,
                       std::shared_ptr<const Route> without_release, DeclaredRoute declared,
                       const Probe* probe, ServingTables& tables, RepositoryOptions options)
    : source_(source),
      without_release_(std::move(without_release)),
      declared_(std::move(declared)),
      tables_(tables),
      options_(std::move(options)),
      loader_(source, engines, servables, probe, options_.parallel),
      live_(options_.live) {
  loaders_.emplace("loader", std::max(1, options_.loaders));
}

Repository::~Repository() { close(std::chrono::hours(24)); }

bool Repository::close(std::chrono::milliseconds grace) {
  closing_ = true;
  control_.post([this] {
    for (auto& [name, model] : models_) {
      for (auto& [version, slot] : model.versions) *slot.abandoned = true;
    }
  });
  const auto until = Clock::now() + grace;
  while (loading_ > 0 && Clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (loading_ > 0) return false;
  std::promise<void> closed;
  control_.post([this, &closed] {
    source_.watch(nullptr);
    fetchers_.reset();
    loaders_.reset();
    guests_.dismiss({Code::kUnavailable, "draining", "the server is shutting down", {}});
    loader_.close_all();
    closed.set_value();
  });
  closed.get_future().wait();
  return true;
}

bool Repository::wanted_first(const std::string& model) const {
  if (!options_.on_request) return true;
  return std::ranges::any_of(options_.load_first,
                             [&](const auto& name) { return name == "*" || name == model; });
}

// --- on demand ----------------------------------------------------------------------------------

void Repository::want(std::string_view model, std::string_view version, TimePoint deadline,
                      Then then) {
  control_.post([this, model = std::string(model), version = std::string(version), deadline,
                 then = std::move(then)]() mutable {
    admit_guest(model, version, {deadline, version.empty(), std::move(then)});
  });
}

// The newest version that runs or may be loaded, of those before `newer` where it is given.
VersionSlot* Repository::usable_before(ModelSlot& model, const VersionName* newer) {
  VersionSlot* out = nullptr;
  for (auto& [name, slot] : model.versions) {
    if (newer != nullptr && !(name < *newer)) break;
    const bool may_load = !slot.hopeless() && slot.failures == 0 && !slot.retiring;
    if (slot.servable != nullptr || (may_load && (slot.settled || out == nullptr))) out = &slot;
  }
  return out;
}

Failure Repository::cannot_serve(const std::string& name, const VersionSlot& slot) {
  return unavailable("model_failed", title(name, slot.wanted) + " cannot be served: " +
                                         (slot.reason.empty() ? "it is not loaded" : slot.reason));
}

void Repository::admit_guest(const std::string& model, const std::string& version,
                             WaitingRoom::Guest guest) {
  const auto found = models_.find(model);
  if (closing_ || found == models_.end() || found->second.versions.empty()) {
    return guest.then(unavailable("not_ready", "the model is not there any more"));
  }
  auto& versions = found->second.versions;
  VersionSlot* slot = usable_before(found->second, nullptr);
  if (!version.empty()) {
    const auto named =
        std::ranges::find(versions, version, [](const auto& e) { return e.first.str(); });
    if (named == versions.end()) {
      return guest.then(not_found("unknown_version", "the version is not there any more"));
    }
    slot = &named->second;
  }
  if (slot == nullptr) return guest.then(cannot_serve(model, versions.rbegin()->second));
  seat(model, found->second, *slot, std::move(guest));
}

void Repository::seat(const std::string& name, ModelSlot& model, VersionSlot& slot,
                      WaitingRoom::Guest guest) {
  if (slot.servable != nullptr) return guest.then(slot.servable);
  const auto now = Clock::now();
  // Whoever asks again and again does not make it load again and again.
  if (!slot.loading && (slot.hopeless() || now < slot.retry_at)) {
    return guest.then(cannot_serve(name, slot));
  }
  const bool loads = slot.loading;
  slot.demanded = slot.demanded || !loads;
  if (!loads && !should_load(model, slot, now)) return guest.then(cannot_serve(name, slot));
  const auto deadline = guest.deadline;
  guests_.enter(name, slot.wanted.name.str(), std::move(guest));
  if (deadline != TimePoint::max()) control_.post_at(deadline, [this] { expire_guests(); });
  if (loads) return;
  start_load(model, slot);
  publish_model(name);
}

void Repository::expire_guests() { guests_.expire(Clock::now()); }

void Repository::load(ModelName model, Done done) {
  control_.post([this, model = std::move(model), done = std::move(done)]() mutable {
    begin_load(model, std::move(done));
  });
}

void Repository::begin_load(const ModelName& model, Done done) {
  if (auto looked = look(Millis(0), model.str()); !looked) return done(looked);
  const auto found = models_.find(model.str());
  if (found == models_.end() || found->second.gone) {
    return done(not_found("unknown_model", "the repository has no model '" + model.str() + "'"));
  }
  ModelSlot& slot = found->second;
  slot.active = true;
  for (auto& [name, version] : slot.versions) {
    version.demanded = true;
    version.failed.clear();
    version.reason.clear();
    version.retry_at = {};
  }
  asked_.push_back({model.str(), std::move(done)});
  start_loads(model.str());
  for (auto& [name, version] : slot.versions) version.demanded = false;
  publish_model(model.str());
  answer_asked();
}

// Those whose model has nothing left to load.
void Repository::answer_asked() {
  std::vector<Asked> ready;
  std::erase_if(asked_, [&](Asked& asked) {
    const auto model = models_.find(asked.model);
    if (model != models_.end() && std::ranges::any_of(model->second.versions, [](const auto& e) {
          return e.second.loading;
        })) {
      return false;
    }
    ready.push_back(std::move(asked));
    return true;
  });
  for (auto& asked : ready) {
    const auto model = models_.find(asked.model);
    asked.done(model == models_.end() ? not_found("unknown_model", "the model is gone")
                                      : outcome(model->second));
  }
}

Result<void> Repository::outcome(const ModelSlot& model) const {
  std::string why = model.wanted.problem;
  if (model.twice) why = "it exists twice, as a file and as a directory; keep one of them";
  bool runs = false;
  for (const auto& [name, version] : model.versions) {
    runs = runs || version.servable != nullptr;
    // A version that never ran may fail beside others; one that ran before must not be lost.
    const bool lost = version.servable != nullptr && !version.reason.empty();
    if (why.empty() && lost) why = "version " + name.str() + ": " + version.reason;
  }
  if (runs && why.empty()) return {};
  for (const auto& [name, version] : model.versions) {
    if (why.empty()) why = version.reason;
  }
  if (why.empty()) why = "it has no versions";
  return unavailable("model_failed", "model '" + model.wanted.name.str() + "' cannot be served: " +
                                         why + (runs ? "; what ran before goes on" : ""));
}

void Repository::unload(ModelName model, Done done) {
  control_.post([this, model = std::move(model), done = std::move(done)]() mutable {
    const auto found = models_.find(model.str());
    if (found == models_.end()) {
      return done(not_found("unknown_model", "there is no model '" + model.str() + "'"));
    }
    found->second.active = false;
    for (auto& [name, version] : found->second.versions) {
      let_go(model.str(), version);
      version.servable = nullptr;
      version.running.clear();
      version.reason.clear();
    }
    publish_model(model.str());
    if (found->second.gone) {
      publish([&](ServingTable& table) { table.models.erase(model.str()); });
      models_.erase(found);
    }
    log::info("model " + model.str() + " is unloaded");
    done({});
  });
}

void Repository::announce_drain() {
  publish([](ServingTable& table) { table.draining = true; });
}

}  // namespace sluice::repository
