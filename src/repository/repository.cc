#include "repository/repository.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "repository/version_policy.h"

namespace sluice::repository {
namespace {

// Until releases choose another: the newest version takes the traffic.
constexpr std::string_view kDefaultPolicy = "newest";

}  // namespace

Repository::Repository(Source& source, const Registry<Engine>& engines,
                       const ServableFactory& servables, const Registry<PolicyFactory>& policies,
                       ServingTables& tables, RepositoryOptions options)
    : source_(source),
      engines_(engines),
      servables_(servables),
      policies_(policies),
      tables_(tables),
      options_(std::move(options)) {}

bool Repository::wanted_first(const std::string& model) const {
  if (!options_.on_request) return true;
  return std::ranges::any_of(options_.load_first,
                             [&](const auto& name) { return name == "*" || name == model; });
}

namespace {

// Two sources of one name: neither can be meant.
std::shared_ptr<const ModelEntry> existing_twice(const ModelEntry& first) {
  auto twice = std::make_shared<ModelEntry>(first);
  twice->reason = "the model exists twice, as a file and as a directory; keep one of them";
  twice->ready.clear();
  twice->policy = nullptr;
  log::error("model " + first.name.str() + ": " + twice->reason);
  return twice;
}

// Known, but out of service.
std::shared_ptr<const ModelEntry> unloaded(const WantedModel& wanted) {
  auto entry = std::make_shared<ModelEntry>(
      ModelEntry{wanted.name, wanted.config, wanted.problem, {}, {}, {}});
  for (const auto& version : wanted.versions) {
    entry->versions.push_back({version.name, VersionState::kUnloaded, "unloaded", nullptr});
  }
  std::ranges::sort(entry->versions, {}, &VersionEntry::name);
  return entry;
}

// Why a version that runs would not any more, or nothing. What is gone from the source may go.
std::string lost_version(const ModelEntry& before, const ModelEntry& after) {
  if (!after.reason.empty()) return after.reason;
  for (const auto& servable : before.ready) {
    const VersionEntry* now = after.find(servable->version().str());
    if (now != nullptr && now->state == VersionState::kFailed) {
      return "version " + now->name.str() + ": " + now->reason;
    }
  }
  return {};
}

std::string why_not(const ModelEntry& entry) {
  if (!entry.reason.empty()) return entry.reason;
  for (const auto& version : entry.versions) {
    if (version.state == VersionState::kFailed) return version.reason;
  }
  return "it has no versions";
}

}  // namespace

Result<void> Repository::load_all() {
  SLUICE_TRY(const auto wanted, source_.list());
  publish([&](ServingTable& table) {
    table.default_model = options_.default_model;
    if (table.default_model.empty() && wanted.size() == 1) {
      table.default_model = wanted[0].name.str();
    }
  });
  for (const auto& model : wanted) {
    const auto& name = model.name.str();
    const auto known = tables_.get()->models;
    std::shared_ptr<const ModelEntry> entry;
    if (const auto found = known.find(name); found != known.end()) {
      entry = existing_twice(*found->second);
    } else {
      entry = wanted_first(name) ? load_model(model) : unloaded(model);
    }
    publish([&](ServingTable& table) { table.models[name] = entry; });
  }
  publish([&](ServingTable& table) {
    table.loading = false;
    // Having none is right where none was asked for.
    table.may_be_empty = options_.on_request && (options_.load_first.empty() || table.any_ready());
  });
  const auto table = tables_.get();
  if (!options_.default_model.empty() && table->find(options_.default_model) == nullptr) {
    return not_found("unknown_model", "default_model is '" + printable(options_.default_model) +
                                          "', but there is no such model");
  }
  for (const auto& name : options_.load_first) {
    if (options_.on_request && name != "*" && table->find(name) == nullptr) {
      return not_found("unknown_model",
                       "load_model names '" + printable(name) + "', but there is no such model");
    }
  }
  return {};
}

void Repository::load(ModelName model, Done done) {
  worker_.post([this, model = std::move(model), done = std::move(done)]() mutable {
    done(load_now(model));
  });
}

void Repository::unload(ModelName model, Done done) {
  worker_.post([this, model = std::move(model), done = std::move(done)]() mutable {
    done(unload_now(model));
  });
}

Result<void> Repository::load_now(const ModelName& model) {
  SLUICE_TRY(const auto wanted, source_.list());
  const auto found = std::ranges::find(wanted, model, &WantedModel::name);
  if (found == wanted.end()) {
    return not_found("unknown_model", "the repository has no model '" + model.str() + "'");
  }
  const auto entry = load_model(*found);
  const auto table = tables_.get();
  const auto* before = table->find(model.str());
  const bool runs = before != nullptr && before->policy != nullptr;
  const std::string lost = runs ? lost_version(*before, *entry) : std::string();
  if (lost.empty()) publish([&](ServingTable& next) { next.models[model.str()] = entry; });
  if (entry->policy != nullptr && lost.empty()) return {};
  return unavailable("model_failed", "model '" + model.str() + "' cannot be served: " +
                                         (lost.empty() ? why_not(*entry) : lost) +
                                         (runs ? "; what ran before goes on" : ""));
}

Result<void> Repository::unload_now(const ModelName& model) {
  const auto before = tables_.get();
  const ModelEntry* entry = before->find(model.str());
  if (entry == nullptr) {
    return not_found("unknown_model", "there is no model '" + model.str() + "'");
  }
  auto out = std::make_shared<ModelEntry>(ModelEntry{entry->name, entry->config, {}, {}, {}, {}});
  for (const auto& version : entry->versions) {
    out->versions.push_back({version.name, VersionState::kUnloaded, "unloaded", nullptr});
  }
  publish([&](ServingTable& table) { table.models[model.str()] = out; });
  log::info("model " + model.str() + " is unloaded");
  return {};
}

std::shared_ptr<const ModelEntry> Repository::load_model(const WantedModel& wanted) {
  auto entry = std::make_shared<ModelEntry>(ModelEntry{wanted.name, wanted.config, {}, {}, {}, {}});
  const auto& name = wanted.name.str();
  for (const auto& warning : wanted.warnings) log::warn("model " + name + ": " + warning);
  if (!wanted.problem.empty()) {
    entry->reason = wanted.problem;
    log::error("model " + name + " is not served: " + wanted.problem);
    return entry;
  }
  std::vector<VersionName> existing;
  for (const auto& version : wanted.versions) existing.push_back(version.name);
  const auto chosen = choose_versions(std::move(existing), wanted.config.versions);
  for (const auto& missing : chosen.missing) {
    log::warn("model " + name + ": version " + missing + " is named in model.yaml but not there");
  }
  for (const auto& version : chosen.wanted) {
    const auto found = std::ranges::find(wanted.versions, version, &WantedVersion::name);
    entry->versions.push_back(load_version(wanted, *found));
  }
  finish_entry(*entry);
  return entry;
}

VersionEntry Repository::load_version(const WantedModel& model, const WantedVersion& version) {
  const std::string title = "model " + model.name.str() + " version " + version.name.str();
  auto servable = make_servable(model, version);
  if (!servable) {
    log::error(title + " is not served: " + servable.error().message);
    return {version.name, VersionState::kFailed, servable.error().message, nullptr};
  }
  log::info(title + " is ready");
  return {version.name, VersionState::kReady, {}, std::move(*servable)};
}

Result<std::shared_ptr<const Servable>> Repository::make_servable(const WantedModel& model,
                                                                  const WantedVersion& version) {
  if (!version.problem.empty()) return invalid("bad_model", version.problem);
  SLUICE_TRY(const auto file, source_.open(version));
  const Engine* engine = nullptr;
  if (!model.config.engine.empty()) {
    engine = engines_.find(model.config.engine);
    if (engine == nullptr) {
      return invalid("bad_config", "there is no engine '" + printable(model.config.engine) +
                                       "'; this build has " + join_and(engines_.names()));
    }
  } else {
    for (const auto& [name, candidate] : engines_.items()) {
      if (engine == nullptr && candidate->accepts(file)) engine = candidate.get();
    }
    if (engine == nullptr) return invalid("bad_model", "no engine knows this kind of file");
  }
  const auto instances = static_cast<int>(model.config.instances.count);
  const LoadOptions options{.threads = static_cast<int>(model.config.threads),
                            .parallel = instances > 0 ? instances : options_.parallel};
  SLUICE_TRY(auto loaded, engine->load(file, options));
  SLUICE_TRY(auto servable,
             servables_.make(model.name, version.name, std::move(loaded), model.config));
  SLUICE_CHECK(servable->warm_up());
  return servable;
}

void Repository::finish_entry(ModelEntry& entry) {
  std::vector<VersionName> ready;
  for (const auto& version : entry.versions) {
    if (version.state != VersionState::kReady) continue;
    ready.push_back(version.name);
    entry.ready.push_back(version.servable);
  }
  if (ready.empty()) return;
  const Node none;
  const auto* factory = policies_.find(kDefaultPolicy);
  Result<std::shared_ptr<const Policy>> policy = internal("there is no such policy");
  if (factory != nullptr) policy = factory->make(ready, none);
  if (policy) {
    entry.policy = std::move(*policy);
    return;
  }
  entry.ready.clear();
  entry.reason = policy.error().message;
  log::error("model " + entry.name.str() + " is not served: " + entry.reason);
}

void Repository::publish(const std::function<void(ServingTable&)>& change) {
  const std::lock_guard lock(publishing_);
  auto next = std::make_shared<ServingTable>(*tables_.get());
  change(*next);
  tables_.publish(std::move(next));
}

void Repository::announce_drain() {
  publish([](ServingTable& table) { table.draining = true; });
}

}  // namespace sluice::repository
