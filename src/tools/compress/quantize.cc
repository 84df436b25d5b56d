#include "tools/compress/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::tools::compress {
namespace {

// Smaller ones would be subnormal, which processors may take for zero.
constexpr float kLeastScale = std::numeric_limits<float>::min();

// The default rounding mode is to the nearest, half to even.
float rounded(float value) { return std::nearbyintf(value); }

std::size_t place(const ChannelLayout& layout, std::size_t index) {
  return index / layout.inner % layout.channels;
}

}  // namespace

Affine affine_of(float low, float high) {
  low = std::min(low, 0.0F);
  high = std::max(high, 0.0F);
  if (low == high) return {1, 0};
  Affine out;
  // In double: the width of a range may be beyond a float's.
  out.scale = std::max(static_cast<float>((static_cast<double>(high) - low) / 255), kLeastScale);
  out.zero = static_cast<std::uint8_t>(std::clamp(rounded(-low / out.scale), 0.0F, 255.0F));
  return out;
}

std::uint8_t quantize(float value, Affine affine) {
  const float steps = rounded(value / affine.scale) + static_cast<float>(affine.zero);
  return static_cast<std::uint8_t>(std::clamp(steps, 0.0F, 255.0F));
}

float dequantize(std::uint8_t value, Affine affine) {
  return static_cast<float>(static_cast<int>(value) - static_cast<int>(affine.zero)) * affine.scale;
}

bool has_vnni() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") != 0 || __builtin_cpu_supports("avxvnni") != 0;
#else
  return true;
#endif
}

ChannelLayout layout_of(std::span<const std::int64_t> dims, std::optional<std::size_t> axis) {
  ChannelLayout out;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const auto dim = static_cast<std::size_t>(dims[i]);
    if (!axis || i > *axis) {
      out.inner *= dim;
    } else if (i == *axis) {
      out.channels = dim;
    } else {
      out.outer *= dim;
    }
  }
  return out;
}

QuantizedWeights quantize_weights(std::span<const float> values, ChannelLayout layout, int most,
                                  std::span<const float> least) {
  std::vector<float> largest(layout.channels, 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto& of_channel = largest[place(layout, i)];
    of_channel = std::max(of_channel, std::fabs(values[i]));
  }
  float overall = *std::ranges::max_element(largest);
  if (overall == 0) overall = 1;
  QuantizedWeights out;
  const auto limit = static_cast<float>(most);
  for (std::size_t channel = 0; channel < largest.size(); ++channel) {
    const float range = largest[channel] == 0 ? overall : largest[channel];
    const float floor = least.empty() ? kLeastScale : std::max(least[channel], kLeastScale);
    out.scales.push_back(std::max(range / limit, floor));
  }
  out.values.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float steps = rounded(values[i] / out.scales[place(layout, i)]);
    out.values[i] = static_cast<std::int8_t>(std::clamp(steps, -limit, limit));
  }
  return out;
}

std::vector<float> least_scales(std::span<const float> bias, float in_scale) {
  std::vector<float> out;
  for (const float value : bias) {
    const double least = std::fabs(static_cast<double>(value)) / in_scale / 0x1p30;
    out.push_back(static_cast<float>(std::min(least, 0x1p126)));
  }
  return out;
}

std::vector<float> bias_scales(float in_scale, std::span<const float> weight_scales) {
  std::vector<float> out;
  for (const float scale : weight_scales) out.push_back(std::max(in_scale * scale, kLeastScale));
  return out;
}

std::vector<std::int32_t> quantize_bias(std::span<const float> bias,
                                        std::span<const float> scales) {
  constexpr double kLow = std::numeric_limits<std::int32_t>::min();
  constexpr double kHigh = std::numeric_limits<std::int32_t>::max();
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < bias.size(); ++i) {
    // In double, where every int32 has a place of its own.
    const double scale = scales[scales.size() == 1 ? 0 : i];
    const double steps = std::nearbyint(static_cast<double>(bias[i]) / scale);
    out.push_back(static_cast<std::int32_t>(std::clamp(steps, kLow, kHigh)));
  }
  return out;
}

double weight_error(std::span<const float> values, const QuantizedWeights& made,
                    ChannelLayout layout) {
  double wrong = 0;
  double all = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    const double off = value - static_cast<double>(made.scales[place(layout, i)]) * made.values[i];
    wrong += off * off;
    all += value * value;
  }
  return all == 0 ? 0 : std::sqrt(wrong / all);
}

std::optional<std::size_t> first_not_finite(std::span<const float> values) {
  const auto found =
      std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (found == values.end()) return std::nullopt;
  return static_cast<std::size_t>(found - values.begin());
}

std::vector<float> transposed(std::span<const float> values, std::size_t rows,
                              std::size_t columns) {
  std::vector<float> out(values.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      out[column * rows + row] = values[row * columns + column];
    }
  }
  return out;
}

}  // namespace sluice::tools::compress
