// Stops asking a store that fails: after some failures in a row it is left alone for a while, then
// one call tries whether it is back (Nygard, Release It!, "Circuit Breaker").
//
// Thread-safety: every function may be called from any thread; `allows` is one load while all is
// well.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace sluice::features {

class Breaker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr int kMostFailures = 3;
  static constexpr std::chrono::milliseconds kFirstPause{100};
  static constexpr std::chrono::milliseconds kLongestPause{5000};

  // True once in a while when it is open: that call is the trial, and must tell how it went.
  bool allows(TimePoint now) {
    if (!open_.load(std::memory_order_acquire)) return true;
    const std::lock_guard lock(mutex_);
    if (!open_.load(std::memory_order_relaxed)) return true;
    if (now < again_at_) return false;
    again_at_ = now + pause_;  // nobody else meanwhile
    return true;
  }
  void succeeded() {
    if (!troubled_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex_);
    failures_ = 0;
    pause_ = kFirstPause;
    open_.store(false, std::memory_order_release);
    troubled_.store(false, std::memory_order_release);
  }
  void failed(TimePoint now) {
    const std::lock_guard lock(mutex_);
    troubled_.store(true, std::memory_order_release);
    if (++failures_ < kMostFailures) return;
    if (open_.load(std::memory_order_relaxed)) pause_ = std::min(pause_ * 2, kLongestPause);
    again_at_ = now + pause_;
    if (!open_.exchange(true, std::memory_order_acq_rel)) {
      openings_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  bool open() const { return open_.load(std::memory_order_acquire); }
  std::uint64_t openings() const { return openings_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> open_{false};
  std::atomic<bool> troubled_{false};  // there were failures since the last success
  std::atomic<std::uint64_t> openings_{0};
  std::mutex mutex_;
  // Guarded by mutex_.
  int failures_ = 0;
  std::chrono::milliseconds pause_ = kFirstPause;
  TimePoint again_at_{};
};

}  // namespace sluice::features
