#include "app/until_stopped.h"

#include <signal.h>
#include <unistd.h>

#include <csignal>

namespace sluice::app {
namespace {

sigset_t stop_signals() {
  sigset_t out;
  sigemptyset(&out);
  sigaddset(&out, SIGINT);
  sigaddset(&out, SIGTERM);
  return out;
}

}  // namespace

void block_stop_signals() {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void watch(const std::function<bool()>& done, std::atomic<bool>& stop, const Watching& watching) {
  const sigset_t signals = stop_signals();
  constexpr timespec kPause{0, 50'000'000};
  while (!done()) {
    const int signal = sigtimedwait(&signals, nullptr, &kPause);
    if (signal > 0 && stop.exchange(true)) {
      watching.ending();
      ::_exit(kStopped);
    }
    if (signal > 0) watching.stopping();
    if (!stop) watching.look();
  }
}

}  // namespace sluice::app
