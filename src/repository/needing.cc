// How a release has the versions loaded that it is about to name: the needing half of repository.h.
#include <algorithm>

#include "base/name_list.h"
#include "repository/repository.h"

namespace sluice::repository {

void Repository::need(ModelName model, std::vector<VersionName> versions, Done done) {
  control_.post([this, model = std::move(model), versions = std::move(versions),
                 done = std::move(done)]() mutable {
    begin_need(model, std::move(versions), std::move(done));
  });
}

void Repository::begin_need(const ModelName& model, std::vector<VersionName> versions, Done done) {
  const auto found = models_.find(model.str());
  if (closing_ || found == models_.end() || !found->second.active) {
    return done(not_found("unknown_model", "there is no model '" + model.str() + "'"));
  }
  std::vector<std::string> known;
  for (const auto& version : found->second.wanted.versions) known.push_back(version.name.str());
  for (const auto& version : versions) {
    if (std::ranges::find(known, version.str()) != known.end()) continue;
    return done(not_found("unknown_version",
                          "model '" + model.str() + "' has no version '" + version.str() + "'" +
                              (known.empty() ? "" : "; it has " + name_list(known))));
  }
  needed_.push_back({model.str(), std::move(versions), std::move(done)});
  look_again();  // notes what is needed, and begins to load it
  for (auto& [name, slot] : found->second.versions) {
    if (slot.needed && slot.servable == nullptr && !slot.loading) {
      slot.demanded = true;  // another try, without waiting for a back-off
      slot.retry_at = {};
    }
  }
  start_loads(model.str());
  answer_needed();
}

std::optional<Result<void>> Repository::outcome(const Needed& needed) const {
  const auto model = models_.find(needed.model);
  if (model == models_.end()) return not_found("unknown_model", "the model is gone");
  for (const auto& version : needed.versions) {
    const auto found = model->second.versions.find(version);
    if (found == model->second.versions.end()) {
      return not_found("unknown_version", "version '" + version.str() + "' is gone");
    }
    const VersionSlot& slot = found->second;
    if (slot.servable != nullptr) continue;
    if (slot.loading || (slot.reason.empty() && !slot.hopeless())) return std::nullopt;
    return fail(Code::kAborted, "version_failed",
                title(needed.model, slot.wanted) + " cannot be served: " + slot.reason);
  }
  return Result<void>();
}

void Repository::answer_needed() {
  if (closing_) return;
  std::vector<std::pair<Done, Result<void>>> ready;
  std::erase_if(needed_, [&](Needed& needed) {
    auto result = outcome(needed);
    if (!result) return false;
    ready.emplace_back(std::move(needed.done), std::move(*result));
    return true;
  });
  bool failed = false;
  for (auto& [done, result] : ready) {
    failed = failed || !result;
    done(std::move(result));
  }
  if (failed) look_again();  // what was loaded for it alone may go
}

}  // namespace sluice::repository
