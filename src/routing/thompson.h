// Each arm with the probability that it is the best one, given the rewards so far (Thompson, 1933;
// Chapelle and Li, NIPS 2011): a draw from every arm's posterior, and the arm of the highest. For
// rewards from 0 to 1 the posterior is a Beta, for others that of a Gaussian's mean.
#pragma once

#include <memory>

#include "routing/bandit_algorithm.h"

namespace sluice::routing {

std::shared_ptr<const BanditAlgorithm> make_thompson();

}  // namespace sluice::routing
