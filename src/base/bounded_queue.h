// A queue of fixed size whose `push` never waits, for work that is handed to a thread of low
// priority: with a lock, the system could put that thread aside while it holds it, and those in a
// hurry would wait for it.
//
// After Dmitry Vyukov's bounded queue of many producers and consumers (1024cores.net): each place
// has a turn number, which says whether it is free or filled in this round.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <semaphore.h>
#include <time.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

namespace sluice {

template <class T>
class BoundedQueue {
 public:
  // At least `capacity` places: the next power of two.
  explicit BoundedQueue(std::size_t capacity)
      : mask_(std::bit_ceil(capacity < 2 ? std::size_t{2} : capacity) - 1),
        places_(std::make_unique<Place[]>(mask_ + 1)) {
    for (std::size_t i = 0; i <= mask_; ++i) places_[i].turn.store(i, std::memory_order_relaxed);
    sem_init(&filled_, 0, 0);
  }
  ~BoundedQueue() { sem_destroy(&filled_); }
  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  // False when it is full; then `value` is as it was. Wakes one who waits.
  bool push(T& value) {
    std::size_t at = tail_.load(std::memory_order_relaxed);
    while (true) {
      Place& place = places_[at & mask_];
      const auto turn = place.turn.load(std::memory_order_acquire);
      if (turn == at) {
        if (!tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
        place.value = std::move(value);
        place.turn.store(at + 1, std::memory_order_release);
        wake();
        return true;
      }
      if (static_cast<std::ptrdiff_t>(turn - at) < 0) return false;
      at = tail_.load(std::memory_order_relaxed);
    }
  }

  // False where there is nothing, or where the next is being written at this moment.
  bool pop(T& out) {
    std::size_t at = head_.load(std::memory_order_relaxed);
    while (true) {
      Place& place = places_[at & mask_];
      const auto turn = place.turn.load(std::memory_order_acquire);
      if (turn == at + 1) {
        if (!head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
        out = std::exchange(place.value, T());
        place.turn.store(at + mask_ + 1, std::memory_order_release);
        return true;
      }
      if (static_cast<std::ptrdiff_t>(turn - (at + 1)) < 0) return false;
      at = head_.load(std::memory_order_relaxed);
    }
  }

  // Until somebody pushes or wakes; then `pop` until there is nothing. False after `limit`.
  bool wait(std::chrono::milliseconds limit) {
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    const auto nanos = until.tv_nsec + limit.count() % 1000 * 1'000'000;
    until.tv_sec += limit.count() / 1000 + nanos / 1'000'000'000;
    until.tv_nsec = nanos % 1'000'000'000;
    return sem_timedwait(&filled_, &until) == 0;
  }
  void wake() { sem_post(&filled_); }

 private:
  struct alignas(64) Place {
    std::atomic<std::size_t> turn{0};
    T value{};
  };

  const std::size_t mask_;
  const std::unique_ptr<Place[]> places_;
  alignas(64) std::atomic<std::size_t> tail_{0};
  alignas(64) std::atomic<std::size_t> head_{0};
  sem_t filled_{};
};

}  // namespace sluice
