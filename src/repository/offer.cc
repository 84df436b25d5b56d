#include "repository/offer.h"

#include <algorithm>

namespace sluice::repository {
namespace {

// A policy that was made for some of the versions that are ready: where they are among all.
class Among final : public Policy {
 public:
  Among(std::shared_ptr<const Policy> policy, std::vector<std::size_t> places)
      : policy_(std::move(policy)), places_(std::move(places)) {
    for (const auto shadow : policy_->shadows()) shadows_.push_back(places_[shadow]);
  }
  Choice choose(const RouteQuery& query) const override {
    Choice out = policy_->choose(query);
    out.version = places_[out.version];
    return out;
  }
  std::size_t usual() const override { return places_[policy_->usual()]; }
  const std::vector<std::size_t>& shadows() const override { return shadows_; }
  double tolerance() const override { return policy_->tolerance(); }

 private:
  const std::shared_ptr<const Policy> policy_;
  const std::vector<std::size_t> places_;
  std::vector<std::size_t> shadows_;
};

}  // namespace

std::shared_ptr<const Policy> offer(const Route& route, const ModelEntry& entry) {
  const auto needed = route.needed();
  std::vector<VersionName> all;
  std::vector<VersionName> names;
  std::vector<std::size_t> places;
  for (const auto& servable : entry.ready) {
    const auto& name = all.emplace_back(servable->version());
    const auto* version = entry.find(name.str());
    const bool other = version != nullptr && version->for_release &&
                       std::ranges::find(needed, name) == needed.end();
    if (other) continue;
    names.push_back(name);
    places.push_back(all.size() - 1);
  }
  if (names.empty() || names.size() == all.size()) return route.over(all);
  auto policy = route.over(names);
  if (policy == nullptr) return nullptr;
  return std::make_shared<Among>(std::move(policy), std::move(places));
}

}  // namespace sluice::repository
