#include "repository/repository.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "repository/version_policy.h"

namespace sluice::repository {

Repository::Repository(Source& source, const Registry<Engine>& engines,
                       const ServableFactory& servables, const Registry<PolicyFactory>& policies,
                       ServingTables& tables, RepositoryOptions options)
    : source_(source),
      engines_(engines),
      servables_(servables),
      policies_(policies),
      tables_(tables),
      options_(std::move(options)) {}

Result<void> Repository::load_all() {
  SLUICE_TRY(const auto wanted, source_.list());
  ServingTable table;
  table.default_model = options_.default_model;
  if (table.default_model.empty() && wanted.size() == 1) {
    table.default_model = wanted[0].name.str();
  }
  for (const auto& model : wanted) {
    const auto& name = model.name.str();
    if (table.models.contains(name)) {
      auto twice = std::make_shared<ModelEntry>(*table.models.at(name));
      twice->reason = "the model exists twice, as a file and as a directory; keep one of them";
      twice->ready.clear();
      twice->policy = nullptr;
      log::error("model " + name + ": " + twice->reason);
      table.models[name] = std::move(twice);
    } else {
      table.models[name] = load_model(model);
    }
    publish(table);
  }
  table.loading = false;
  publish(table);
  if (!options_.default_model.empty() && table.find(options_.default_model) == nullptr) {
    return not_found("unknown_model", "default_model is '" + printable(options_.default_model) +
                                          "', but there is no such model");
  }
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
  const LoadOptions options{static_cast<int>(model.config.threads)};
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
  auto policy = policies_.find("newest")->make(ready, none);
  if (policy) entry.policy = std::move(*policy);
}

void Repository::publish(const ServingTable& table) {
  tables_.publish(std::make_shared<const ServingTable>(table));
}

void Repository::announce_drain() {
  auto table = *tables_.get();
  table.draining = true;
  publish(table);
}

}  // namespace sluice::repository
