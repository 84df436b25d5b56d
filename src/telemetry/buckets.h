// Buckets for numbers of any size, told apart by their leading bits: no logarithm, no table.
//
// DurationBuckets: nanoseconds, 64 or more buckets to the octave, so that the middle of a bucket is
// within 0.8 % of everything in it, as HdrHistogram does it (hdrhistogram.org). ValueBuckets:
// finite doubles of either sign, eight to the octave, within 6 %.
//
// Thread-safety: functions without state.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace sluice {

struct DurationBuckets {
  static constexpr std::size_t kBlocks = 36;  // up to 2^41 ns, half an hour; more counts as that

  static std::size_t of(std::uint64_t ns) {
    constexpr std::uint64_t kMost = (std::uint64_t{1} << 41) - 1;
    ns = std::min(ns, kMost);
    if (ns < 64) return ns;
    const auto shift = static_cast<std::size_t>(std::bit_width(ns)) - 7;
    return (shift << 6) + (ns >> shift);
  }
  // The least number of bucket `index`; of the one behind the last: the end of all.
  static std::uint64_t least(std::size_t index) {
    if (index < 128) return index;
    const std::size_t shift = (index >> 6) - 1;
    return (std::uint64_t{64} + (index & 63)) << shift;
  }
  static double middle(std::size_t index) {
    return (static_cast<double>(least(index)) + static_cast<double>(least(index + 1))) / 2;
  }
};

struct ValueBuckets {
  static constexpr std::size_t kOctaves = 80;  // 2^-40 to 2^40; smaller is 0, larger is that
  static constexpr std::size_t kPerOctave = 8;
  static constexpr std::size_t kSide = kOctaves * kPerOctave;
  static constexpr std::size_t kZero = kSide;  // of kCount; negative ones lie before it
  static constexpr std::size_t kBlocks = (2 * kSide + 1 + 63) / 64;

  // `value` is not NaN.
  static std::size_t of(double value) {
    const double size = std::min(std::abs(value), 0x1.fffffp39);
    if (size < 0x1p-40) return kZero;
    const auto bits = std::bit_cast<std::uint64_t>(size);
    // Exponent and the first three bits behind it, counted from 2^-40.
    const std::size_t place = (bits >> 49) - (std::uint64_t{1023 - 40} << 3);
    return value < 0 ? kZero - 1 - place : kZero + 1 + place;
  }
  static double middle(std::size_t index) {
    if (index == kZero) return 0;
    const std::size_t place = index < kZero ? kZero - 1 - index : index - kZero - 1;
    const double octave = std::ldexp(1.0, static_cast<int>(place / kPerOctave) - 40);
    const double size = octave * (1 + (static_cast<double>(place % kPerOctave) + 0.5) / kPerOctave);
    return index < kZero ? -size : size;
  }
};

}  // namespace sluice
