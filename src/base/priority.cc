#include "base/priority.h"

#include <sys/resource.h>

#include <algorithm>

namespace sluice {

void lower_priority() {
  constexpr int kLevels = 10;
  constexpr int kLowest = 19;
  // Of this thread, on Linux.
  const int now = ::getpriority(PRIO_PROCESS, 0);
  ::setpriority(PRIO_PROCESS, 0, std::min(now + kLevels, kLowest));
}

}  // namespace sluice
