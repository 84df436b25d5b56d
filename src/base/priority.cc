#include "base/priority.h"

#include <algorithm>

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace sluice {
namespace {

void go_idle() {
  const sched_param none{};
  if (sched_setscheduler(0, SCHED_IDLE, &none) == 0) return;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);  // of this thread alone, on Linux
}

}  // namespace

void become_idle(const char* name) {
  pthread_setname_np(pthread_self(), name);
  go_idle();
}

// Where the system does not let a thread back (a nice value beyond its limit), it stays idle.
Hurry::Hurry() {
  const sched_param none{};
  sched_setscheduler(0, SCHED_OTHER, &none);
}

Hurry::~Hurry() { go_idle(); }

void lower_priority() {
  constexpr int kLevels = 10;
  constexpr int kLowest = 19;
  // Of this thread, on Linux.
  const int now = ::getpriority(PRIO_PROCESS, 0);
  ::setpriority(PRIO_PROCESS, 0, std::min(now + kLevels, kLowest));
}

}  // namespace sluice
