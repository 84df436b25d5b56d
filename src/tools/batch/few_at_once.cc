#include "tools/batch/few_at_once.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::tools::batch {

Result<void> few_at_once(std::size_t count, const std::function<Result<void>(std::size_t)>& work) {
  constexpr std::size_t kThreads = 4;
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> ending = false;
  std::mutex mutex;
  Result<void> out;
  const auto run = [&] {
    pthread_setname_np(pthread_self(), "store");
    while (!ending) {
      const auto index = next++;
      if (index >= count) return;
      auto done = work(index);
      if (done) continue;
      const std::lock_guard lock(mutex);
      if (out) out = std::move(done);
      ending = true;
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min(kThreads, count); ++i) threads.emplace_back(run);
  threads.clear();
  return out;
}

}  // namespace sluice::tools::batch
