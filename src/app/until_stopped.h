// Work of a command on a thread of its own, while this one looks after Ctrl-C and SIGTERM: the
// first asks the work to end, the second ends the process.
//
// Thread-safety: called by the thread that the command began on.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>

namespace sluice::app {

inline constexpr int kStopped = 130;  // the exit code, as shells have it for Ctrl-C

// Before any other thread is started: none of them is to be interrupted.
void block_stop_signals();

struct Watching {
  std::function<void()> look;      // often, until it is told to stop
  std::function<void()> stopping;  // the first signal came
  std::function<void()> ending;    // the second: the process ends with kStopped after this
};

// `done`: has the work ended? `stop` becomes true with the first signal.
void watch(const std::function<bool()>& done, std::atomic<bool>& stop, const Watching& watching);

template <class Work>
auto until_stopped(Work work, std::atomic<bool>& stop, const Watching& watching) {
  auto running = std::async(std::launch::async, std::move(work));
  watch([&] { return running.wait_for(std::chrono::seconds(0)) == std::future_status::ready; },
        stop, watching);
  return running.get();
}

}  // namespace sluice::app
