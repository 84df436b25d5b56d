#include "repository/roster.h"

#include <algorithm>
#include <utility>

#include "core/servable.h"

namespace sluice::repository {
namespace {

std::int64_t last_use(const VersionSlot& slot) {
  return std::max(slot.loaded_ms, static_cast<std::int64_t>(slot.servable->tally().sums().last_ms));
}

}  // namespace

std::string title(const std::string& model, const WantedVersion& version) {
  return "model " + model + " version " + version.name.str();
}

bool should_load(const ModelSlot& model, const VersionSlot& version, TimePoint now) {
  if (!model.active || model.twice || !model.wanted.problem.empty()) return false;
  if (version.retiring) return false;
  if (version.loading || version.seen.empty() || now < version.retry_at) return false;
  const bool loads_again = version.demanded && version.seen != version.failed;
  const auto& loading = model.wanted.config.loading;
  const bool rests =
      version.servable == nullptr && loading.kind == Loading::Kind::kLazy && !version.needed;
  if (rests && !version.demanded && !takes_over(model, version)) return false;
  if (loads_again) return true;  // whoever asks takes what is there
  if (!version.settled || version.seen == version.failed) return false;
  if (version.seen != version.running) return true;
  return loading.kind == Loading::Kind::kTtl && now - version.loaded_at >= loading.ttl;
}

WantedModel believe(ModelSlot& slot, const WantedModel& wanted, TimePoint now,
                    std::chrono::milliseconds settle) {
  if (slot.seen != wanted.fingerprint || slot.seen_since == TimePoint{}) {
    slot.seen = wanted.fingerprint;
    slot.seen_since = now;
  }
  WantedModel out = wanted;
  const bool settled = now - slot.seen_since >= settle;
  const bool other = wanted.fingerprint != slot.wanted.fingerprint;
  if (!settled && other) {
    out.problem = slot.wanted.problem;
    out.warnings = slot.wanted.warnings;
  }
  // One with a mistake changes nothing of what there is, and of what is being loaded.
  if (other && (!settled || !wanted.problem.empty())) {
    out.config = slot.wanted.config;
    out.fingerprint = slot.wanted.fingerprint;
  }
  return out;
}

bool takes_over(const ModelSlot& model, const VersionSlot& version) {
  const VersionSlot* newest = nullptr;
  bool awaited = false;
  for (const auto& [name, other] : model.versions) {
    if (other.retiring) {
      awaited = awaited || other.servable != nullptr;
    } else if (other.servable != nullptr || other.loading || other.demanded) {
      return false;
    } else if (!other.hopeless()) {
      newest = &other;
    }
  }
  return awaited && newest == &version;
}

bool may_retire(const ModelSlot& model) {
  const bool lazy = model.wanted.config.loading.kind == Loading::Kind::kLazy;
  bool any = false;
  for (const auto& [name, version] : model.versions) {
    if (version.retiring) continue;
    // One that is loaded for whoever asks shows nothing until then, and is not waited for.
    const bool rests = lazy && !version.loading && !version.demanded && !version.needed;
    if (version.servable == nullptr && !version.hopeless() && !rests) return false;
    any = any || version.servable != nullptr;
  }
  return any;
}

bool note_look(VersionSlot& slot, const WantedVersion& wanted, const std::string& fingerprint,
               TimePoint now, std::chrono::milliseconds settle) {
  slot.wanted = wanted;
  const bool changed = slot.seen != fingerprint || slot.retiring;
  slot.retiring = false;
  if (slot.seen != fingerprint) {
    *slot.abandoned = true;  // what is being loaded of the older files
    slot.seen = fingerprint;
    slot.seen_since = now;
    slot.settled = false;
    slot.failures = 0;
    slot.retry_at = {};
  }
  const bool settled = slot.settled || wanted.complete || now - slot.seen_since >= settle;
  return std::exchange(slot.settled, settled) != settled || changed;
}

std::chrono::milliseconds back_off(int failures) {
  return std::chrono::milliseconds(500) * (1 << std::clamp(failures - 1, 0, 7));
}

Eviction make_room(const std::map<std::string, ModelSlot>& models, std::uint64_t needed,
                   std::uint64_t limit, const VersionSlot* keep) {
  struct Candidate {
    std::int64_t used;
    std::uint64_t bytes;
    std::string model;
    VersionName version;
  };
  std::vector<Candidate> candidates;
  std::uint64_t total = needed;
  for (const auto& [name, model] : models) {
    const bool lazy = model.wanted.config.loading.kind == Loading::Kind::kLazy;
    for (const auto& [version, slot] : model.versions) {
      if (slot.servable == nullptr || &slot == keep) continue;
      total += slot.bytes;
      if (lazy && !slot.needed) candidates.push_back({last_use(slot), slot.bytes, name, version});
    }
  }
  std::ranges::sort(candidates, {}, &Candidate::used);
  Eviction out;
  for (const auto& candidate : candidates) {
    if (total <= limit) break;
    total -= candidate.bytes;
    out.victims.emplace_back(candidate.model, candidate.version);
  }
  out.fits = total <= limit;
  if (!out.fits) out.victims.clear();
  return out;
}

}  // namespace sluice::repository
