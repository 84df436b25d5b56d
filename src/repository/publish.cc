// How the roster becomes a table: the publishing half of repository.h.
#include <algorithm>

#include "base/log.h"
#include "repository/offer.h"
#include "repository/repository.h"

namespace sluice::repository {
namespace {

bool runs(const ModelSlot& model) {
  return std::ranges::any_of(model.versions,
                             [](const auto& each) { return each.second.servable != nullptr; });
}

VersionEntry version_entry(const ModelSlot& model, const VersionSlot& slot) {
  VersionEntry out{
      slot.wanted.name, VersionState::kLoading, slot.reason, slot.servable, false, !slot.chosen,
      slot.loads,       slot.failed_loads};
  const bool lazy = model.wanted.config.loading.kind == Loading::Kind::kLazy && !slot.needed;
  if (slot.servable != nullptr) {
    out.state = VersionState::kReady;
    if (slot.retiring) out.reason = "not wanted any more; serves until another version does";
  } else if (!model.active) {
    out.state = VersionState::kUnloaded;
    out.reason = model.wanted.problem.empty() ? "unloaded" : model.wanted.problem;
  } else if (model.twice || !model.wanted.problem.empty() || slot.hopeless() ||
             (slot.failures > 0 && !slot.loading)) {
    out.state = VersionState::kFailed;
    if (!model.wanted.problem.empty()) out.reason = model.wanted.problem;
  } else if (lazy && !slot.loading) {
    out.state = VersionState::kUnloaded;
    out.reason = "lazy: loaded with its first request";
  } else if (!slot.loading && !slot.settled) {
    out.reason = "waiting until its files stay as they are";
  }
  // While it is being loaded, others may wait for it too. What may be half written is waited for
  // only where there is nothing else.
  out.cold = lazy && model.active && slot.servable == nullptr && !slot.seen.empty() &&
             out.state != VersionState::kFailed && (slot.settled || !runs(model));
  return out;
}

}  // namespace

std::shared_ptr<ModelEntry> Repository::entry_of(const ModelSlot& slot) const {
  auto entry = std::make_shared<ModelEntry>(
      ModelEntry{slot.wanted.name, slot.wanted.config, slot.wanted.problem, {}, {}, {}, false});
  if (slot.twice) {
    entry->reason = "the model exists twice, as a file and as a directory; keep one of them";
  }
  for (const auto& [name, version] : slot.versions) {
    auto& made = entry->versions.emplace_back(version_entry(slot, version));
    if (made.servable != nullptr && !slot.twice) entry->ready.push_back(made.servable);
    // Its place is in front of what is ready: newer than all of it.
    const bool counts =
        made.state != VersionState::kFailed && !version.retiring && !made.for_release;
    if (counts) entry->cold = made.cold;
  }
  return entry;
}

void Repository::route_entry(ModelEntry& entry) const {
  entry.policy = nullptr;
  const auto found = routes_.find(entry.name.str());
  auto route = found == routes_.end() ? nullptr : found->second;
  if (route == nullptr && entry.config.release) {
    // It was checked when the configuration was read.
    if (auto declared = declared_(entry.name, *entry.config.release)) route = *declared;
  }
  const bool released = route != nullptr;
  // Its versions are loaded unasked, and no other takes their place.
  if (released) entry.cold = false;
  if (entry.ready.empty()) return;
  entry.policy = offer(released ? *route : *without_release_, entry);
  if (entry.policy == nullptr && entry.reason.empty()) {
    entry.reason = "none of the versions that its release names is loaded";
  }
}

void Repository::publish_model(const std::string& name) {
  const auto found = models_.find(name);
  if (found == models_.end()) return;
  auto entry = entry_of(found->second);
  publish([&](ServingTable& table) {
    route_entry(*entry);
    table.models[name] = std::move(entry);
  });
}

void Repository::set_route(const ModelName& model, std::shared_ptr<const Route> route) {
  bool other_versions = false;
  publish([&](ServingTable& table) {
    const auto needs = [](const auto& of) {
      return of == nullptr ? std::vector<VersionName>() : of->needed();
    };
    const auto before = routes_.find(model.str());
    other_versions = (before == routes_.end() ? needs(route) != std::vector<VersionName>()
                                              : needs(before->second) != needs(route));
    if (route == nullptr) {
      routes_.erase(model.str());
    } else {
      routes_[model.str()] = std::move(route);
    }
    const auto found = table.models.find(model.str());
    if (found == table.models.end()) return;
    auto entry = std::make_shared<ModelEntry>(*found->second);
    route_entry(*entry);
    found->second = std::move(entry);
  });
  // What it needs is loaded, and what the last one needed may go.
  if (!other_versions) return;
  control_.post([this, name = model.str()] {
    if (!closing_ && models_.contains(name)) look_again();
  });
}

std::vector<VersionName> Repository::needed_versions(const std::string& model) const {
  std::vector<VersionName> out;
  {
    const std::lock_guard lock(publishing_);
    if (const auto found = routes_.find(model); found != routes_.end()) {
      out = found->second->needed();
    }
  }
  for (const auto& needed : needed_) {
    if (needed.model == model)
      out.insert(out.end(), needed.versions.begin(), needed.versions.end());
  }
  return out;
}

void Repository::publish(const std::function<void(ServingTable&)>& change) {
  const std::lock_guard lock(publishing_);
  auto next = std::make_shared<ServingTable>(*tables_.get());
  change(*next);
  tables_.publish(std::move(next));
}

}  // namespace sluice::repository
