#include "tools/compress/half_tensor.h"

#include <cmath>
#include <cstring>

#include "base/half.h"

namespace sluice::tools::compress {
namespace {

constexpr std::uint16_t kSign = 0x8000;
constexpr std::uint16_t kInfinity = 0x7C00;
constexpr std::uint16_t kLargest = 0x7BFF;  // 65504

}  // namespace

HalfTensor to_half(std::span<const float> values, bool clip) {
  HalfTensor out;
  out.raw.resize(values.size() * sizeof(std::uint16_t));
  double wrong = 0;
  double all = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    std::uint16_t half = float_to_half(value);
    const std::uint16_t magnitude = half & static_cast<std::uint16_t>(~kSign);
    if (magnitude == kInfinity && std::isfinite(value)) {
      ++out.beyond;
      if (clip) half = static_cast<std::uint16_t>((half & kSign) | kLargest);
    } else if (magnitude < kInfinity) {
      if (magnitude == 0 && value != 0) ++out.lost;
      const double difference = static_cast<double>(half_to_float(half)) - value;
      wrong += difference * difference;
      all += static_cast<double>(value) * value;
    }
    std::memcpy(out.raw.data() + i * sizeof half, &half, sizeof half);
  }
  out.error = all > 0 ? std::sqrt(wrong / all) : 0;
  return out;
}

}  // namespace sluice::tools::compress
