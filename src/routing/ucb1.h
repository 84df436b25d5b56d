// The arm whose mean could be highest: mean + sqrt(2 ln t / n) (Auer, Cesa-Bianchi and Fischer,
// Machine Learning 47, 2002). Pulls whose reward is still to come count as pulls, so that a slow
// feedback does not flood one arm; ties are broken by chance.
#pragma once

#include <memory>

#include "routing/bandit_algorithm.h"

namespace sluice::routing {

std::shared_ptr<const BanditAlgorithm> make_ucb1();

}  // namespace sluice::routing
