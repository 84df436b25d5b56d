#include "routing/thompson.h"

#include <limits>

namespace sluice::routing {
namespace {

class Thompson final : public BanditAlgorithm {
 public:
  std::size_t pick(std::span<const BanditArm> arms, const BanditOptions& options,
                   Random& random) const override {
    double most = -std::numeric_limits<double>::infinity();
    std::size_t out = 0;
    for (std::size_t i = 0; i < arms.size(); ++i) {
      const auto& rewards = arms[i].rewards;
      const double mean = options.gaussian ? statistics::draw_gaussian_mean(rewards, random)
                                           : statistics::draw_bernoulli_mean(rewards, random);
      if (mean <= most) continue;
      most = mean;
      out = i;
    }
    return out;
  }

  bool unit_rewards(const BanditOptions& options) const override { return !options.gaussian; }
};

}  // namespace

std::shared_ptr<const BanditAlgorithm> make_thompson() { return std::make_shared<Thompson>(); }

}  // namespace sluice::routing
