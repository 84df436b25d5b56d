// With probability epsilon any arm, else the one with the best mean so far (Sutton and Barto,
// "Reinforcement Learning", 2018, section 2.4; the decay of Auer et al., 2002, theorem 3, with its
// constants as one). An arm that was never rewarded is tried before any other; ties are broken by
// chance.
#pragma once

#include <memory>

#include "routing/bandit_algorithm.h"

namespace sluice::routing {

std::shared_ptr<const BanditAlgorithm> make_epsilon_greedy();

}  // namespace sluice::routing
