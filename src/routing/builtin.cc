#include "routing/builtin.h"

#include "routing/epsilon_greedy.h"
#include "routing/thompson.h"
#include "routing/ucb1.h"

namespace sluice::routing {

void register_builtin(Registry<BanditAlgorithm>& registry) {
  registry.add("epsilon_greedy", make_epsilon_greedy());
  registry.add("ucb1", make_ucb1());
  registry.add("thompson", make_thompson());
}

}  // namespace sluice::routing
