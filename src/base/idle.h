// Threads that take only what nobody else wants of the processors.
//
// Thread-safety: everything is about the calling thread.
#pragma once

#include <chrono>

#include "base/file.h"

namespace sluice {

// SCHED_IDLE, else nice 19. Threads that it starts from now on are idle too.
void become_idle();

// How long a thread has been waiting for a processor so far: the one that calls, which is to be the
// one that made it.
class RunDelay {
 public:
  RunDelay();
  // 0 where the system does not tell (schedstat of proc(5)).
  std::chrono::nanoseconds so_far() const;

 private:
  const Fd file_;
};

}  // namespace sluice
