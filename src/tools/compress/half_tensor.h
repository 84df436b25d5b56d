// Numbers of a tensor in IEEE 754 half precision, and what that loses.
//
// Rounded to nearest, ties to even (base/half.h). The error of a number between 2^-14 and 65504 is
// at most 2^-11 of it; below that the step is 2^-24, so that a tensor of small numbers only loses
// more, down to everything.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sluice::tools::compress {

struct HalfTensor {
  std::string raw;           // little-endian, as TensorProto's raw_data
  std::uint64_t beyond = 0;  // finite numbers that round to infinity, or would without `clip`
  std::uint64_t lost = 0;    // numbers that are not zero and became it
  // The root of what the squares of all differences are of the squares of all numbers; numbers that
  // are no finite ones in half precision are left out.
  double error = 0;
};

// `clip`: what is beyond becomes the largest number, ±65504. Infinities and NaN stay what they are.
HalfTensor to_half(std::span<const float> values, bool clip);

}  // namespace sluice::tools::compress
