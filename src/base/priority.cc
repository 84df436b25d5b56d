#include "base/priority.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"

namespace sluice {
namespace {

void go_idle() {
  const sched_param none{};
  if (sched_setscheduler(0, SCHED_IDLE, &none) == 0) return;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);  // of this thread alone, on Linux
}

}  // namespace

void become_idle(const char* name) {
  if (name != nullptr) pthread_setname_np(pthread_self(), name);
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

RunDelay::RunDelay() : file_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

std::chrono::nanoseconds RunDelay::so_far() const {
  if (!file_) return {};
  std::array<char, 96> text{};
  const auto size = ::pread(file_.get(), text.data(), text.size(), 0);
  if (size <= 0) return {};
  const auto fields = split(std::string_view(text.data(), static_cast<std::size_t>(size)), ' ');
  if (fields.size() < 2) return {};
  return std::chrono::nanoseconds(parse_int(fields[1]).value_or(0));
}

}  // namespace sluice
