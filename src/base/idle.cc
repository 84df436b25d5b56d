#include "base/idle.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "base/text.h"

namespace sluice {

void become_idle() {
  const sched_param none{};
  if (sched_setscheduler(0, SCHED_IDLE, &none) == 0) return;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);  // of this thread alone, on Linux
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
