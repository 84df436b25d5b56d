#include "statistics/burstiness.h"

#include <algorithm>
#include <cmath>

namespace sluice::statistics {
namespace {

// What is seen of bursts is a little less than what there is.
constexpr double kMargin = 1.1;
// A variance of fewer blocks says nothing.
constexpr std::uint64_t kFewestBlocks = 30;
// As do fewer events.
constexpr std::uint64_t kFewestEvents = 5;
// The factor is rounded up to a multiple of 1/64: it seldom changes then, and who multiplies by
// powers of it need not form them anew at every event.
constexpr double kGrid = 64;
// So many standard deviations above 1 are no chance.
constexpr double kBeyondChance = 2;

// Of `count` blocks: the ratio, or at most 1 where that may as well be so.
double ratio_of(double sum, double squares, double count) {
  const double ratio = (squares * count - sum * sum) / ((count - 1) * sum);
  const double more = ratio - 1;
  const bool chance = more <= 0 || more * more * (count - 1) < 2 * kBeyondChance * kBeyondChance;
  return chance ? std::min(ratio, 1.0) : ratio;
}

}  // namespace

void Burstiness::bad(std::uint64_t position) {
  last_ = std::max(last_, position);
  ++events_;
  std::uint64_t index = last_ / kSmallest;
  for (Blocks& blocks : blocks_) {
    if (index != blocks.index) {
      blocks.sum += blocks.current;
      blocks.squares += blocks.current * blocks.current;
      blocks.current = 0;
      blocks.index = index;
    }
    ++blocks.current;
    index /= 2;  // each size is twice the one before
  }
}

double Burstiness::factor(std::uint64_t requests) const {
  if (events_ < kFewestEvents) return kMargin;
  double most = 0;
  std::uint64_t whole = requests / kSmallest;
  for (const Blocks& blocks : blocks_) {
    if (whole < kFewestBlocks) break;
    const bool filled = blocks.index < whole;
    const auto sum = static_cast<double>(blocks.sum + (filled ? blocks.current : 0));
    const auto squares =
        static_cast<double>(blocks.squares + (filled ? blocks.current * blocks.current : 0));
    if (sum > 0) most = std::max(most, ratio_of(sum, squares, static_cast<double>(whole)));
    whole /= 2;
  }
  if (most == 0) return kMargin;
  return std::ceil(std::max(1.0, kMargin * most) * kGrid) / kGrid;
}

void Burstiness::restore(const State& state) {
  blocks_ = state.blocks;
  events_ = state.events;
  last_ = state.last;
}

}  // namespace sluice::statistics
