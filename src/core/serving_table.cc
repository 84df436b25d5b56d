#include "core/serving_table.h"

#include <algorithm>

namespace sluice {

const VersionEntry* ModelEntry::find(std::string_view version) const {
  const auto found = std::ranges::find_if(
      versions, [&](const VersionEntry& entry) { return entry.name.str() == version; });
  return found == versions.end() ? nullptr : &*found;
}

// A broken model beside healthy ones must not take the whole server out of its balancer: it answers
// 503 by itself. With nothing to serve at all there is no point in sending traffic here.
bool ServingTable::healthy() const { return !loading && (may_be_empty || any_ready()); }

bool ServingTable::any_ready() const {
  return std::ranges::any_of(models, [](const auto& model) { return model.second->can_serve(); });
}

}  // namespace sluice
