// The arithmetic of 8-bit quantisation, on plain numbers.
//
// A real number r is kept as an integer q with r ≈ scale · (q − zero). Rounding is half to even and
// out of range saturates, as the ONNX operators QuantizeLinear, DynamicQuantizeLinear and
// DequantizeLinear say (ONNX operator specification, opset 13); float divisions are float divisions
// there and here, so that what is stored is to the last bit what the operators would have made.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sluice::tools::compress {

// Of activations, as uint8.
struct Affine {
  float scale = 1;
  std::uint8_t zero = 0;
  friend bool operator==(const Affine&, const Affine&) = default;
};

// For activations between two finite numbers. Zero is always one of the values, exactly: padding
// and the lower end of a Relu must be. A range without width gets scale 1, as in ONNX Runtime's
// DynamicQuantizeLinear; the scale is always positive and finite.
Affine affine_of(float low, float high);

std::uint8_t quantize(float value, Affine affine);
float dequantize(std::uint8_t value, Affine affine);

// The largest weight as an integer. Processors with AVX2 or AVX-512 but without VNNI add two
// products of uint8 · int8 in 16 bits, which saturate (VPMADDUBSW): 255 · 64 · 2 still fits.
inline constexpr int kFullRange = 127;
inline constexpr int kReducedRange = 64;

// Has this processor instructions that multiply uint8 by int8 and add in 32 bits (AVX-VNNI,
// AVX512-VNNI; true of what is not x86)? Else weights of the full range can saturate.
bool has_vnni();

// A tensor seen as [outer, channels, inner], row-major: each channel has a scale of its own.
struct ChannelLayout {
  std::size_t outer = 1;
  std::size_t channels = 1;
  std::size_t inner = 1;
};
// `axis`: which dimension is the channels'; nothing: one scale for the whole.
ChannelLayout layout_of(std::span<const std::int64_t> dims, std::optional<std::size_t> axis);

struct QuantizedWeights {
  std::vector<std::int8_t> values;  // in the order of what they were made of
  std::vector<float> scales;        // one for each channel
};

// Symmetric: the zero point is 0, values are in [-most, most]. A channel of zeros alone gets the
// largest scale of the others (1 / most where there are none), which keeps a bias of it fine.
// `least`: scales are at least this, one for each channel; or empty. Values must be finite.
QuantizedWeights quantize_weights(std::span<const float> values, ChannelLayout layout, int most,
                                  std::span<const float> least = {});

// Of a bias as int32 with the scale in_scale · weight_scales[i] (of one weight scale for all of
// them): the least weight scale that keeps it within half of int32.
std::vector<float> least_scales(std::span<const float> bias, float in_scale);
std::vector<float> bias_scales(float in_scale, std::span<const float> weight_scales);
std::vector<std::int32_t> quantize_bias(std::span<const float> bias, std::span<const float> scales);

// √(Σ(w − ŵ)² / Σw²); 0 for weights that are all zero.
double weight_error(std::span<const float> values, const QuantizedWeights& made,
                    ChannelLayout layout);

// Place of the first that is NaN or infinite.
std::optional<std::size_t> first_not_finite(std::span<const float> values);

// [rows, columns] becomes [columns, rows].
std::vector<float> transposed(std::span<const float> values, std::size_t rows, std::size_t columns);

}  // namespace sluice::tools::compress
