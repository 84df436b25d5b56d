// The least of many numbers by magnitude, exactly and without a copy of them: the bits of |x| are
// in the order of the numbers (IEEE 754), so that two passes that count bits find the one that
// divides them (a radix selection).
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::tools::compress {

// Everything below `bits`, and the first `ties` of those that are equal to it.
struct Threshold {
  std::uint32_t bits = 0;
  std::uint64_t ties = 0;
  friend bool operator==(const Threshold&, const Threshold&) = default;
};

class LeastOf {
 public:
  // `wanted`: how many. All are taken where there are fewer.
  explicit LeastOf(std::uint64_t wanted);

  // Both see the same numbers, in any order and in any pieces: `count` all of them before `refine`
  // sees the first. NaN is larger than anything.
  void count(std::span<const float> values);
  void refine(std::span<const float> values);
  Threshold threshold() const;

 private:
  void choose_high();

  std::uint64_t wanted_;
  bool chosen_ = false;
  std::uint32_t high_ = 0;    // the upper half of the threshold's bits
  std::uint64_t inside_ = 0;  // how many are wanted of those that have it
  std::vector<std::uint64_t> highs_;
  std::vector<std::uint64_t> lows_;
};

// Is this number taken? Counts down the ties.
bool takes(Threshold& threshold, float value);

}  // namespace sluice::tools::compress
