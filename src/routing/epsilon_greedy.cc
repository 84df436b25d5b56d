#include "routing/epsilon_greedy.h"

#include <algorithm>
#include <limits>

namespace sluice::routing {
namespace {

// The best arms: one, or several that are equally good.
std::vector<std::size_t> best(std::span<const BanditArm> arms) {
  std::vector<std::size_t> out;
  double most = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < arms.size(); ++i) {
    const double mean = arms[i].rewards.count > 0 ? arms[i].rewards.mean()
                                                  : std::numeric_limits<double>::infinity();
    if (mean > most) {
      most = mean;
      out.clear();
    }
    if (mean == most) out.push_back(i);
  }
  return out;
}

double explores(std::span<const BanditArm> arms, const BanditOptions& options) {
  double rewards = 0;
  for (const auto& arm : arms) rewards += arm.rewards.count;
  return std::min(1.0, options.epsilon / (1 + options.decay * rewards));
}

class EpsilonGreedy final : public BanditAlgorithm {
 public:
  std::size_t pick(std::span<const BanditArm> arms, const BanditOptions& options,
                   Random& random) const override {
    if (random.uniform() < explores(arms, options)) return random.below(arms.size());
    const auto choice = best(arms);
    return choice[random.below(choice.size())];
  }

  std::vector<double> shares(std::span<const BanditArm> arms, const BanditOptions& options,
                             std::size_t, Random&) const override {
    const double epsilon = explores(arms, options);
    std::vector<double> out(arms.size(), epsilon / static_cast<double>(arms.size()));
    const auto choice = best(arms);
    for (const auto arm : choice) out[arm] += (1 - epsilon) / static_cast<double>(choice.size());
    return out;
  }

  bool unit_rewards(const BanditOptions&) const override { return false; }
};

}  // namespace

std::shared_ptr<const BanditAlgorithm> make_epsilon_greedy() {
  return std::make_shared<EpsilonGreedy>();
}

}  // namespace sluice::routing
