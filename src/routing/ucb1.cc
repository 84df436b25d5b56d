#include "routing/ucb1.h"

#include <cmath>
#include <limits>

namespace sluice::routing {
namespace {

// Between two looks at the rewards at most so many pulls are played through.
constexpr std::size_t kMostPicks = 1000;

class Ucb1 final : public BanditAlgorithm {
 public:
  std::size_t pick(std::span<const BanditArm> arms, const BanditOptions&,
                   Random& random) const override {
    double total = 0;
    for (const auto& arm : arms) total += arm.rewards.count + arm.pending;
    const double twice_log = 2 * std::log(std::max(1.0, total));
    double most = -1;
    std::size_t ties = 0;
    std::size_t out = 0;
    for (std::size_t i = 0; i < arms.size(); ++i) {
      const double pulls = arms[i].rewards.count + arms[i].pending;
      const double bound = pulls > 0 ? arms[i].rewards.mean() + std::sqrt(twice_log / pulls)
                                     : std::numeric_limits<double>::infinity();
      if (bound < most) continue;
      ties = bound > most ? 1 : ties + 1;
      if (ties == 1 || random.below(ties) == 0) out = i;
      most = bound;
    }
    return out;
  }

  std::vector<double> shares(std::span<const BanditArm> arms, const BanditOptions& options,
                             std::size_t picks, Random& random) const override {
    std::vector<BanditArm> next(arms.begin(), arms.end());
    std::vector<double> out(arms.size());
    const std::size_t count = std::min(std::max<std::size_t>(picks, 1), kMostPicks);
    const double step =
        static_cast<double>(std::max<std::size_t>(picks, 1)) / static_cast<double>(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t arm = pick(next, options, random);
      next[arm].pending += step;
      out[arm] += 1.0 / static_cast<double>(count);
    }
    return out;
  }

  bool unit_rewards(const BanditOptions&) const override { return true; }
};

}  // namespace

std::shared_ptr<const BanditAlgorithm> make_ucb1() { return std::make_shared<Ucb1>(); }

}  // namespace sluice::routing
