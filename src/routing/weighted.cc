#include "routing/weighted.h"

#include <algorithm>

#include "base/random.h"

namespace sluice::routing {
namespace {

constexpr std::size_t kAbsent = ~std::size_t{0};

class Weighted final : public Policy {
 public:
  Weighted(std::shared_ptr<const WeightedPlan> plan, std::vector<std::size_t> versions,
           std::vector<std::size_t> shadows)
      : plan_(std::move(plan)),
        hash_(plan_->model, plan_->salt),
        versions_(std::move(versions)),
        shadows_(std::move(shadows)) {
    all_there_ = std::ranges::find(versions_, kAbsent) == versions_.end();
    double present = 0;
    for (std::size_t i = 0; i < versions_.size(); ++i) {
      if (versions_[i] != kAbsent) present += plan_->shares[i];
    }
    if (all_there_) present = 1;  // as they were said, to the last bit
    double sum = 0;
    for (std::size_t i = 0; i < versions_.size(); ++i) {
      const bool there = versions_[i] != kAbsent;
      // Where all that are there had nothing, the first of them takes everything.
      const double share = !there        ? 0
                           : present > 0 ? plan_->shares[i] / present
                           : sum > 0     ? 0.0
                                         : 1.0;
      sum += share;
      shares_.push_back(share);
      limits_.push_back(sum);
      // Where the intervals end a rounding below 1: the seed's first arm, else the last one.
      const bool first = plan_->assignment == Assignment::kSeed;
      if (there && (!first || rest_ == kAbsent)) rest_ = i;
    }
    const auto most = std::ranges::max_element(shares_) - shares_.begin();
    const bool refers = plan_->reference < shares_.size() && shares_[plan_->reference] > 0;
    usual_ = versions_[refers ? plan_->reference : static_cast<std::size_t>(most)];
  }

  Choice choose(const RouteQuery& query) const override {
    std::uint64_t unit = 0;
    if (!query.user_id.empty()) unit = hash_.of(query.user_id) | 1;  // never 0
    std::size_t arm = kAbsent;
    if (unit != 0 && plan_->sticky) arm = settled(query.user_id, unit);
    if (arm == kAbsent) arm = below(thread_random().uniform());
    return {.version = versions_[arm],
            // Without all of its arms a release learns nothing.
            .release = all_there_ ? plan_->release : 0,
            .arm = static_cast<std::uint32_t>(arm),
            .probability = static_cast<float>(shares_[arm]),
            .epoch = plan_->epoch,
            .unit = unit};
  }

  std::size_t usual() const override { return usual_; }
  const std::vector<std::size_t>& shadows() const override { return shadows_; }
  double tolerance() const override { return plan_->tolerance; }

 private:
  // The arm of a user's slot; one that is not there gives its users to the others.
  std::size_t settled(std::string_view user, std::uint64_t unit) const {
    if (plan_->assignment == Assignment::kSeed) {
      return below(static_cast<double>(seed_slot(user)) / double{kSlots});
    }
    const std::size_t arm = plan_->slots.arm(slot_of(unit));
    if (all_there_ || (arm < versions_.size() && versions_[arm] != kAbsent)) return arm;
    return below(static_cast<double>(slot_of(unit * 0x9e3779b97f4a7c15)) / double{kSlots});
  }

  // The seed's cumulative intervals.
  std::size_t below(double place) const {
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      if (place < limits_[i]) return i;
    }
    return rest_;
  }

  const std::shared_ptr<const WeightedPlan> plan_;
  const UserHash hash_;
  const std::vector<std::size_t> versions_;  // by arm: the ready version, or kAbsent
  const std::vector<std::size_t> shadows_;
  std::vector<double> shares_;
  std::vector<double> limits_;
  std::size_t rest_ = kAbsent;
  std::size_t usual_ = 0;
  bool all_there_ = true;
};

class WeightedRoute final : public Route {
 public:
  explicit WeightedRoute(WeightedPlan plan)
      : plan_(std::make_shared<const WeightedPlan>(std::move(plan))) {}

  std::shared_ptr<const Policy> over(const std::vector<VersionName>& ready) const override {
    const auto index = [&](const VersionName& version) {
      const auto found = std::ranges::find(ready, version);
      return found == ready.end() ? kAbsent : static_cast<std::size_t>(found - ready.begin());
    };
    std::vector<std::size_t> versions;
    for (const auto& arm : plan_->arms) versions.push_back(index(arm));
    if (std::ranges::count(versions, kAbsent) == std::ssize(versions)) return nullptr;
    std::vector<std::size_t> shadows;
    for (const auto& shadow : plan_->shadows) {
      if (index(shadow) != kAbsent) shadows.push_back(index(shadow));
    }
    return std::make_shared<Weighted>(plan_, std::move(versions), std::move(shadows));
  }

  std::vector<VersionName> needed() const override {
    std::vector<VersionName> out = plan_->arms;
    out.insert(out.end(), plan_->shadows.begin(), plan_->shadows.end());
    return out;
  }

 private:
  const std::shared_ptr<const WeightedPlan> plan_;
};

}  // namespace

std::shared_ptr<const Route> make_weighted(WeightedPlan plan) {
  return std::make_shared<WeightedRoute>(std::move(plan));
}

}  // namespace sluice::routing
