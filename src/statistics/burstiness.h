// How many bad events come together: the greatest ratio of variance to mean (Fano factor) of their
// number in blocks of 20 to 1,280 requests. Independent events have 1 less their rate, bursts of n
// about n.
//
// A test that takes bursts for independent events is fooled by every second one; dividing its
// evidence by this number mends that (docs/decisions/0033). The greatest of several ratios is
// above 1 by chance alone, which would make every test slower: a ratio counts as more than 1 where
// independent events would rarely show it (Fisher's index of dispersion: of n blocks, n - 1 times
// the ratio is about chi-squared, so that the ratio's standard deviation is sqrt(2 / (n - 1))).
//
// Thread-safety: one owner. Costs nothing for good requests.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::statistics {

class Burstiness {
 public:
  static constexpr std::size_t kSizes = 7;
  static constexpr std::uint64_t kSmallest = 20;

  // The request with this number, counted from 0 and never falling, was bad.
  void bad(std::uint64_t position);
  // At least 1, with a margin of a tenth, rounded up to 1/64. `requests`: how many there were so
  // far.
  double factor(std::uint64_t requests) const;
  std::uint64_t events() const { return events_; }

  struct Blocks {
    std::uint64_t index = 0;    // of the block that is being filled
    std::uint64_t current = 0;  // bad events in it
    std::uint64_t sum = 0;      // … in those before it
    std::uint64_t squares = 0;
  };
  struct State {
    std::array<Blocks, kSizes> blocks{};
    std::uint64_t events = 0;
    std::uint64_t last = 0;
  };
  State state() const { return {blocks_, events_, last_}; }
  void restore(const State& state);

 private:
  std::array<Blocks, kSizes> blocks_{};
  std::uint64_t events_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace sluice::statistics
