// How the roster becomes a table: the publishing half of repository.h.
#include <algorithm>

#include "base/log.h"
#include "repository/repository.h"

namespace sluice::repository {
namespace {

// Until releases choose another: the newest version takes the traffic.
constexpr std::string_view kDefaultPolicy = "newest";

bool runs(const ModelSlot& model) {
  return std::ranges::any_of(model.versions,
                             [](const auto& each) { return each.second.servable != nullptr; });
}

VersionEntry version_entry(const ModelSlot& model, const VersionSlot& slot) {
  VersionEntry out{slot.wanted.name, VersionState::kLoading, slot.reason, slot.servable, false};
  const bool lazy = model.wanted.config.loading.kind == Loading::Kind::kLazy;
  if (slot.servable != nullptr) {
    out.state = VersionState::kReady;
    if (slot.retiring) out.reason = "not wanted any more; serves until another version does";
  } else if (!model.active) {
    out.state = VersionState::kUnloaded;
    out.reason = model.wanted.problem.empty() ? "unloaded" : model.wanted.problem;
  } else if (model.twice || !model.wanted.problem.empty() || slot.hopeless() ||
             (slot.failures > 0 && !slot.loading)) {
    out.state = VersionState::kFailed;
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

std::shared_ptr<const ModelEntry> Repository::entry_of(const ModelSlot& slot) const {
  auto entry = std::make_shared<ModelEntry>(
      ModelEntry{slot.wanted.name, slot.wanted.config, slot.wanted.problem, {}, {}, {}, false});
  if (slot.twice) {
    entry->reason = "the model exists twice, as a file and as a directory; keep one of them";
  }
  std::vector<VersionName> ready;
  for (const auto& [name, version] : slot.versions) {
    auto& made = entry->versions.emplace_back(version_entry(slot, version));
    if (made.servable != nullptr && !slot.twice) {
      ready.push_back(name);
      entry->ready.push_back(made.servable);
    }
    // Its place is in front of what is ready: newer than all of it.
    const bool counts = made.state != VersionState::kFailed && !version.retiring;
    if (counts) entry->cold = made.cold;
  }
  if (ready.empty()) return entry;
  const Node none;
  const auto* factory = policies_.find(kDefaultPolicy);
  Result<std::shared_ptr<const Policy>> policy = internal("there is no such policy");
  if (factory != nullptr) policy = factory->make(ready, none);
  if (policy) {
    entry->policy = std::move(*policy);
    return entry;
  }
  entry->ready.clear();
  entry->reason = policy.error().message;
  log::error("model " + entry->name.str() + " is not served: " + entry->reason);
  return entry;
}

void Repository::publish_model(const std::string& name) {
  const auto found = models_.find(name);
  if (found == models_.end()) return;
  auto entry = entry_of(found->second);
  publish([&](ServingTable& table) { table.models[name] = std::move(entry); });
}

void Repository::publish(const std::function<void(ServingTable&)>& change) {
  const std::lock_guard lock(publishing_);
  auto next = std::make_shared<ServingTable>(*tables_.get());
  change(*next);
  tables_.publish(std::move(next));
}

}  // namespace sluice::repository
