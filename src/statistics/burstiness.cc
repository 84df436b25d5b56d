#include "statistics/burstiness.h"

#include <algorithm>

namespace sluice::statistics {
namespace {

// What is seen of bursts is a little less than what there is.
constexpr double kMargin = 1.1;
// A variance of fewer blocks says nothing.
constexpr std::uint64_t kFewestBlocks = 30;
// As do fewer events.
constexpr std::uint64_t kFewestEvents = 5;

}  // namespace

void Burstiness::bad(std::uint64_t position) {
  last_ = std::max(last_, position);
  ++events_;
  std::uint64_t size = kSmallest;
  for (Blocks& blocks : blocks_) {
    const std::uint64_t index = last_ / size;
    if (index != blocks.index) {
      blocks.sum += blocks.current;
      blocks.squares += blocks.current * blocks.current;
      blocks.current = 0;
      blocks.index = index;
    }
    ++blocks.current;
    size *= 2;
  }
}

double Burstiness::factor(std::uint64_t requests) const {
  if (events_ < kFewestEvents) return kMargin;
  double most = 1;
  std::uint64_t size = kSmallest;
  for (const Blocks& blocks : blocks_) {
    const std::uint64_t whole = requests / size;
    size *= 2;
    if (whole < kFewestBlocks) break;
    const bool filled = blocks.index < whole;
    const auto sum = static_cast<double>(blocks.sum + (filled ? blocks.current : 0));
    const auto squares =
        static_cast<double>(blocks.squares + (filled ? blocks.current * blocks.current : 0));
    if (sum == 0) continue;
    const auto count = static_cast<double>(whole);
    const double mean = sum / count;
    const double variance = (squares - sum * mean) / (count - 1);
    most = std::max(most, variance / mean);
  }
  return kMargin * most;
}

void Burstiness::restore(const State& state) {
  blocks_ = state.blocks;
  events_ = state.events;
  last_ = state.last;
}

}  // namespace sluice::statistics
