#include "routing/bandit_algorithm.h"

namespace sluice::routing {
namespace {

constexpr int kDraws = 1000;

}  // namespace

std::vector<double> BanditAlgorithm::shares(std::span<const BanditArm> arms,
                                            const BanditOptions& options, std::size_t,
                                            Random& random) const {
  std::vector<double> out(arms.size());
  for (int i = 0; i < kDraws; ++i) out[pick(arms, options, random)] += 1.0 / kDraws;
  return out;
}

}  // namespace sluice::routing
