#include "repository/version_policy.h"

#include <algorithm>

namespace sluice::repository {

ChosenVersions choose_versions(std::vector<VersionName> existing, const VersionChoice& choice) {
  std::ranges::sort(existing);
  ChosenVersions out;
  if (choice.named) {
    for (const auto& name : *choice.named) {
      const auto found = std::ranges::find(existing, name, &VersionName::str);
      if (found == existing.end()) {
        out.missing.push_back(name);
      } else {
        out.wanted.push_back(*found);
      }
    }
    std::ranges::sort(out.wanted);
    const auto twice = std::ranges::unique(out.wanted);
    out.wanted.erase(twice.begin(), twice.end());
    return out;
  }
  const auto keep = choice.latest ? static_cast<std::size_t>(*choice.latest) : existing.size();
  if (existing.size() > keep) {
    existing.erase(existing.begin(), existing.end() - static_cast<std::ptrdiff_t>(keep));
  }
  out.wanted = std::move(existing);
  return out;
}

}  // namespace sluice::repository
