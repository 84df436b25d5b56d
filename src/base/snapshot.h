// One writer publishes immutable values; many threads read the newest without a lock.
//
// Each reading thread keeps the pointer that it saw last and compares one counter to learn whether
// it is stale: 1-2 ns when nothing changed. `std::atomic<std::shared_ptr>` costs 11-25 ns and is a
// race under TSan in libstdc++ 12.
//
// A thread that stops reading keeps the last value alive; threads that may go idle call `refresh()`
// now and then (I/O threads do so from their sweep).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace sluice {

// A small number of this thread's own, given out in order of first use.
inline std::size_t thread_slot() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t slot = next.fetch_add(1, std::memory_order_relaxed);
  return slot;
}

template <class T>
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const T> first) : current_(std::move(first)) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Any thread; readers see `next` from their next read on.
  void publish(std::shared_ptr<const T> next) {
    const std::lock_guard lock(mutex_);
    current_ = std::move(next);
    epoch_.fetch_add(1, std::memory_order_release);
  }

  // Any thread; shares ownership.
  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }

  // Any thread. The reference is this thread's own and valid until its next `read`.
  const std::shared_ptr<const T>& read() const {
    const std::size_t index = thread_slot();
    if (index >= slots_.size()) return overflow_read();
    Slot& slot = slots_[index];
    const auto epoch = epoch_.load(std::memory_order_acquire);
    if (slot.epoch != epoch) {
      const std::lock_guard lock(mutex_);
      slot.value = current_;
      slot.epoch = epoch_.load(std::memory_order_relaxed);
    }
    return slot.value;
  }

  void refresh() const { read(); }

 private:
  struct alignas(64) Slot {
    std::uint64_t epoch = 0;
    std::shared_ptr<const T> value;
  };

  // Past the last slot (hundreds of threads) reading is still right, only slower.
  const std::shared_ptr<const T>& overflow_read() const {
    thread_local std::shared_ptr<const T> value;
    value = get();
    return value;
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const T> current_;  // guarded by mutex_
  std::atomic<std::uint64_t> epoch_{1};
  mutable std::array<Slot, 128> slots_;
};

}  // namespace sluice
