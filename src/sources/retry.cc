#include "sources/retry.h"

#include <algorithm>
#include <random>
#include <thread>

namespace sluice::sources {

std::chrono::milliseconds pause_before(int retry) {
  constexpr int kFirst = 200;
  constexpr int kLongest = 5000;
  const int longest = std::min(kLongest, kFirst << std::clamp(retry - 1, 0, 8));
  static thread_local std::minstd_rand random(std::random_device{}());
  return std::chrono::milliseconds(
      std::uniform_int_distribution<int>(longest / 2, longest)(random));
}

bool rest(std::chrono::milliseconds pause, const std::atomic<bool>& stop) {
  const auto until = std::chrono::steady_clock::now() + pause;
  while (!stop.load(std::memory_order_relaxed)) {
    const auto left = until - std::chrono::steady_clock::now();
    if (left <= left.zero()) return true;
    std::this_thread::sleep_for(
        std::min<std::chrono::nanoseconds>(left, std::chrono::milliseconds(50)));
  }
  return false;
}

}  // namespace sluice::sources
