#include "base/random.h"

#include <sys/random.h>

#include <chrono>

namespace sluice {

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) == sizeof seed) return seed;
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

Random& thread_random() {
  thread_local Random random(random_seed());
  return random;
}

}  // namespace sluice
