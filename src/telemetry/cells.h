// A long row of counters of which few are ever used: made in blocks of 64, when the first of a
// block counts. One thread's part of a histogram (Sharded), so that counting is a plain addition.
//
// Thread-safety: any thread may read; writers as for Sharded (`alone`: the only one).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "telemetry/sharded.h"

namespace sluice {

template <std::size_t Blocks>
class Cells {
 public:
  static constexpr std::size_t kBlock = 64;
  static constexpr std::size_t kCount = Blocks * kBlock;

  Cells() = default;
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;
  ~Cells() {
    for (auto& block : blocks_) delete block.load(std::memory_order_acquire);
  }

  // `index` below kCount.
  Counter& at(std::size_t index) {
    auto& place = blocks_[index / kBlock];
    Block* block = place.load(std::memory_order_acquire);
    if (block == nullptr) block = make(place);
    return block->counters[index % kBlock];
  }

  // Visit(index, count) of those that are not 0, in order.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = 0; i < Blocks; ++i) {
      const Block* block = blocks_[i].load(std::memory_order_acquire);
      if (block == nullptr) continue;
      for (std::size_t j = 0; j < kBlock; ++j) {
        const auto count = block->counters[j].value();
        if (count > 0) visit(i * kBlock + j, count);
      }
    }
  }

 private:
  struct Block {
    std::array<Counter, kBlock> counters;
  };

  static Block* make(std::atomic<Block*>& place) {
    auto* fresh = new Block;
    Block* expected = nullptr;
    if (place.compare_exchange_strong(expected, fresh, std::memory_order_acq_rel)) return fresh;
    delete fresh;
    return expected;
  }

  std::array<std::atomic<Block*>, Blocks> blocks_{};
};

}  // namespace sluice
