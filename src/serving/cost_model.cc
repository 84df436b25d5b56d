#include "serving/cost_model.h"

#include <algorithm>
#include <bit>

namespace sluice::serving {
namespace {

std::size_t size_index(std::size_t rows, std::size_t sizes) {
  return std::min<std::size_t>(std::bit_width(rows <= 1 ? 0 : rows - 1), sizes - 1);
}

// Moves an estimate by a sixteenth of itself, weighted so that it rests where a share `below` of
// the observations lies below it.
void follow(std::atomic<std::uint64_t>& estimate, std::uint64_t seen, double below) {
  const auto now = estimate.load(std::memory_order_relaxed);
  if (now == 0) return estimate.store(seen, std::memory_order_relaxed);
  const double step = static_cast<double>(now) / 16;
  const double moved = static_cast<double>(now) + (seen > now ? step * below : -step * (1 - below));
  estimate.store(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(moved)),
                 std::memory_order_relaxed);
}

std::uint64_t count_of(CostModel::Nanos took) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 1));
}

}  // namespace

void CostModel::observe(std::size_t rows, Nanos took) {
  Size& size = sizes_[size_index(rows, sizes_.size())];
  const auto seen = count_of(took);
  const auto median = size.median.load(std::memory_order_relaxed);
  const auto far_off = [&](std::uint64_t value) {
    return value > 4 * median ? 1 : 4 * value < median ? -1 : 0;
  };
  const auto before = size.far.load(std::memory_order_relaxed);
  const int side = median == 0 ? 0 : far_off(seen);
  if (side != 0 && before != 0 && far_off(before) == side) {
    return set(rows, Nanos(side > 0 ? std::min(seen, before) : std::max(seen, before)));
  }
  size.far.store(side == 0 ? 0 : seen, std::memory_order_relaxed);
  follow(size.median, seen, 0.5);
  follow(size.slow, seen, 0.9);
}

void CostModel::set(std::size_t rows, Nanos took) {
  Size& size = sizes_[size_index(rows, sizes_.size())];
  size.median.store(count_of(took), std::memory_order_relaxed);
  size.slow.store(count_of(took), std::memory_order_relaxed);
  size.far.store(0, std::memory_order_relaxed);
}

CostModel::Nanos CostModel::ask(std::atomic<std::uint64_t> Size::*quantile,
                                std::size_t rows) const {
  const std::size_t index = size_index(rows, sizes_.size());
  const auto known = [&](std::size_t at) {
    return (sizes_[at].*quantile).load(std::memory_order_relaxed);
  };
  if (const auto exact = known(index)) return Nanos(exact);
  std::uint64_t best = 0;
  for (std::size_t at = index; at-- > 0;) {
    if (known(at) == 0) continue;
    best = known(at) << std::min<std::size_t>(index - at, 20);
    break;
  }
  for (std::size_t at = index + 1; at < sizes_.size(); ++at) {
    if (known(at) == 0) continue;
    best = best == 0 ? known(at) : std::min(best, known(at));
    break;
  }
  return Nanos(best);
}

}  // namespace sluice::serving
