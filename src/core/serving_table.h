// What is served right now: an immutable picture that the data path reads without a lock.
//
// Written by repository/ alone, swapped whole. Rolling back is publishing the previous one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/names.h"
#include "base/snapshot.h"
#include "core/model_config.h"
#include "core/policy.h"
#include "core/servable.h"

namespace sluice {

enum class VersionState { kLoading, kReady, kFailed, kUnloaded };

struct VersionEntry {
  VersionName name;
  VersionState state = VersionState::kLoading;
  std::string reason;                        // why it failed, or why a newer file of it did
  std::shared_ptr<const Servable> servable;  // null unless ready
  bool cold = false;                         // will be loaded for whoever asks first
  // Loaded because a release names it, not because model.yaml does: gets what a release gives it.
  bool for_release = false;
  std::uint64_t loads = 0;  // that went well, so far
  std::uint64_t failed_loads = 0;
};

struct ModelEntry {
  ModelName name;
  ModelConfig config;
  std::string reason;                                  // why the model as a whole cannot be served
  std::vector<VersionEntry> versions;                  // natural order, newest last
  std::vector<std::shared_ptr<const Servable>> ready;  // natural order
  std::shared_ptr<const Policy> policy;                // null when nothing is ready
  // The version that would take the traffic is cold.
  bool cold = false;

  bool can_serve() const { return policy != nullptr || cold; }
  const VersionEntry* find(std::string_view version) const;
};

struct ServingTable {
  // Ordered, so that listings are stable; a look-up by string view makes no string.
  std::map<std::string, std::shared_ptr<const ModelEntry>, std::less<>> models;
  // The model of `POST /predict`; empty when there is none or more than one and nobody chose.
  std::string default_model;
  bool loading = true;    // the first round has not finished
  bool draining = false;  // the process is about to end
  // Models come and go by calls, so that having none is no fault.
  bool may_be_empty = false;

  const ModelEntry* find(std::string_view model) const {
    const auto found = models.find(model);
    return found == models.end() ? nullptr : found->second.get();
  }
  // At least one model can be served.
  bool any_ready() const;
  // Loading is over, and at least one model can be served unless there may be none.
  bool healthy() const;
};

using ServingTables = Snapshot<ServingTable>;

}  // namespace sluice
