// How urgent the calling thread is to the system.
//
// Thread-safety: each function is about the thread that calls it.
#pragma once

#include <chrono>

#include "base/file.h"

namespace sluice {

// Only what nobody else wants of the processors: SCHED_IDLE, else nice 19. `name`: of the thread,
// at most 15 characters; null: it keeps its own. Threads that it starts from now on are idle too.
void become_idle(const char* name = nullptr);

// 10 nice levels below what the thread had, whatever the process was started with: those that
// answer get ten times as much of a processor that both want.
void lower_priority();

// For as long as this lives, an idle thread is one as any other: where it holds a lock, those in a
// hurry would wait for it while it waits for a processor.
class Hurry {
 public:
  Hurry();
  ~Hurry();
  Hurry(const Hurry&) = delete;
  Hurry& operator=(const Hurry&) = delete;
};

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
