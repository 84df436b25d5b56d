#include "sources/entries_in_use.h"

#include <algorithm>
#include <utility>

#include "sources/remote_listing.h"

namespace sluice::sources {
namespace {

constexpr std::size_t kMostOthers = 1000;

std::string key_with_fingerprint(const WantedVersion& version) {
  return key_of(version) + '\n' + version.fingerprint;
}

// What `versions:` of model.yaml leaves, as the repository reads it. A version that only a release
// or a pipeline asks for is as old as its loading.
std::vector<const WantedVersion*> chosen(const WantedModel& model) {
  std::vector<const WantedVersion*> out;
  const auto& choice = model.config.versions;
  for (const auto& version : model.versions) {
    const bool left_out =
        choice.named && std::ranges::find(*choice.named, version.name.str()) == choice.named->end();
    if (!left_out) out.push_back(&version);
  }
  if (choice.named || !choice.latest) return out;
  std::ranges::sort(out, [](const auto* a, const auto* b) { return b->name < a->name; });
  out.resize(std::min(out.size(), static_cast<std::size_t>(*choice.latest)));
  return out;
}

}  // namespace

void EntriesInUse::opened(const WantedVersion& version, const std::string& entry) {
  const std::lock_guard lock(mutex_);
  entries_[key_with_fingerprint(version)] = entry;
}

std::vector<std::string> EntriesInUse::wanted(const std::vector<WantedModel>& models) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  std::map<std::string, std::string> listed;
  for (const auto& model : models) {
    for (const auto& version : model.versions) {
      const auto known = entries_.find(key_with_fingerprint(version));
      if (known != entries_.end()) listed.insert(*known);
    }
    for (const auto* version : chosen(model)) {
      const auto known = listed.find(key_with_fingerprint(*version));
      if (known != listed.end()) out.push_back(known->second);
    }
  }
  // What one listing lacks the next may have as it was, without a load in between.
  if (entries_.size() > listed.size() + kMostOthers) entries_ = std::move(listed);
  return out;
}

}  // namespace sluice::sources
