// How long one run of a model takes, learned from the runs themselves.
//
// For sizes of 1, 2, up to 4, up to 8 … rows it follows the median and the 90th percentile, each by
// a step up or down in proportion (a stochastic approximation of a quantile; Robbins and Monro
// 1951), so that a run that was interrupted moves an estimate by a few percent and not by its
// length. Two in a row that are far off, and to the same side, are believed.
//
// Thread-safety: any thread may observe and ask; a lost update is one observation less.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::serving {

class CostModel {
 public:
  using Nanos = std::chrono::nanoseconds;

  void observe(std::size_t rows, Nanos took);
  // Replaces what was learned of this size: warming up is slower than what follows.
  void set(std::size_t rows, Nanos took);

  // A run of `rows` rows; zero as long as nothing was observed. Sizes that never ran are answered
  // from the nearest that did, as if time grew with rows and not more slowly.
  Nanos median(std::size_t rows) const { return ask(&Size::median, rows); }
  Nanos slow(std::size_t rows) const { return ask(&Size::slow, rows); }

 private:
  struct Size {
    std::atomic<std::uint64_t> median{0};  // ns; 0: never observed
    std::atomic<std::uint64_t> slow{0};
    std::atomic<std::uint64_t> far{0};  // the last observation, where it was far off
  };

  Nanos ask(std::atomic<std::uint64_t> Size::*quantile, std::size_t rows) const;

  std::array<Size, 24> sizes_;
};

}  // namespace sluice::serving
