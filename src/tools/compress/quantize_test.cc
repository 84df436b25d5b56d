// The arithmetic of 8 bits, to the last bit what numpy computes (tests/compress/int8_golden.py).
#include "tools/compress/quantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

namespace sluice::tools::compress {
namespace {

using nlohmann::json;

json golden(const char* part) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/tests/compress/int8_golden.json");
  return json::parse(file)[part];
}

float float_of(const json& bits) { return std::bit_cast<float>(bits.get<std::uint32_t>()); }

std::vector<float> floats_of(const json& bits) {
  std::vector<float> out;
  for (const auto& each : bits) out.push_back(float_of(each));
  return out;
}

json bits_of(const std::vector<float>& values) {
  json out = json::array();
  for (const float value : values) out.push_back(std::bit_cast<std::uint32_t>(value));
  return out;
}

TEST(Quantize, ActivationsAreWhatNumpyComputes) {
  int seen = 0;
  for (const auto& each : golden("affine")) {
    const auto affine = affine_of(float_of(each["low"]), float_of(each["high"]));
    EXPECT_EQ(std::bit_cast<std::uint32_t>(affine.scale), each["scale"]) << each;
    EXPECT_EQ(affine.zero, each["zero"]) << each;
    const auto values = floats_of(each["values"]);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto made = quantize(values[i], affine);
      EXPECT_EQ(made, each["made"][i]) << values[i] << " of " << each;
      EXPECT_EQ(std::bit_cast<std::uint32_t>(dequantize(made, affine)), each["back"][i]) << each;
      ++seen;
    }
  }
  EXPECT_GT(seen, 150);
}

TEST(Quantize, WeightsAreWhatNumpyComputes) {
  int seen = 0;
  for (const auto& each : golden("weights")) {
    const auto dims = each["dims"].get<std::vector<std::int64_t>>();
    const auto axis =
        each["axis"].is_null() ? std::nullopt : std::optional(each["axis"].get<std::size_t>());
    const auto made =
        quantize_weights(floats_of(each["values"]), layout_of(dims, axis), each["most"]);
    EXPECT_EQ(bits_of(made.scales), each["scales"]) << each;
    EXPECT_EQ(json(made.values), each["made"]) << each;
    ++seen;
  }
  EXPECT_EQ(seen, 10);
}

TEST(Quantize, BiasesAreWhatNumpyComputes) {
  int seen = 0;
  for (const auto& each : golden("bias")) {
    const auto scales = bias_scales(float_of(each["in_scale"]), floats_of(each["weight_scales"]));
    EXPECT_EQ(bits_of(scales), each["scales"]) << each;
    EXPECT_EQ(json(quantize_bias(floats_of(each["bias"]), scales)), each["made"]) << each;
    ++seen;
  }
  EXPECT_EQ(seen, 3);
}

TEST(Quantize, ZeroIsAlwaysExact) {
  for (const float low : {-3.4e38F, -77.7F, -1.0F, -1e-30F, 0.0F, 5.0F}) {
    for (const float high : {-5.0F, 0.0F, 1e-40F, 0.333F, 12345.6F, 3.4e38F}) {
      const auto affine = affine_of(low, high);
      EXPECT_TRUE(std::isnormal(affine.scale));
      EXPECT_EQ(dequantize(quantize(0, affine), affine), 0) << low << ' ' << high;
    }
  }
}

TEST(Quantize, ScalesGrowUntilABiasFits) {
  const std::vector<float> weights = {1e-12F, -1e-12F, 0.5F, 0.25F};
  const std::vector<float> bias = {100, 0.125F};
  const auto least = least_scales(bias, 0.01F);
  const auto made = quantize_weights(weights, {1, 2, 2}, kFullRange, least);
  EXPECT_EQ(made.scales[0], least[0]);
  EXPECT_EQ(made.scales[1], 0.5F / 127);
  const auto scales = bias_scales(0.01F, made.scales);
  const auto whole = quantize_bias(bias, scales);
  for (std::size_t i = 0; i < bias.size(); ++i) {
    EXPECT_LT(std::abs(whole[i]), std::numeric_limits<std::int32_t>::max() / 2 + 1024);
    EXPECT_NEAR(static_cast<float>(whole[i]) * scales[i], bias[i], 1e-4);
  }
}

TEST(Quantize, TensorsOfZerosStayZero) {
  const std::vector<float> zeros(6);
  const auto layout = layout_of(std::vector<std::int64_t>{2, 3}, 0);
  const auto made = quantize_weights(zeros, layout, kFullRange);
  EXPECT_EQ(made.values, std::vector<std::int8_t>(6));
  for (const float scale : made.scales) EXPECT_TRUE(std::isnormal(scale));
  EXPECT_EQ(weight_error(zeros, made, layout), 0);
}

TEST(Quantize, ErrorsOfWeights) {
  const std::vector<float> values = {127, -64.25F, 3.5F, 0};
  const auto made = quantize_weights(values, {}, kFullRange);
  EXPECT_EQ(made.values, (std::vector<std::int8_t>{127, -64, 4, 0}));
  const double all = 127 * 127 + 64.25 * 64.25 + 3.5 * 3.5;
  EXPECT_DOUBLE_EQ(weight_error(values, made, {}), std::sqrt((0.0625 + 0.25) / all));
}

TEST(Quantize, FindsWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(first_not_finite(std::vector<float>{1, 2, -infinity, NAN}), 2U);
  EXPECT_EQ(first_not_finite(std::vector<float>{1, NAN}), 1U);
  EXPECT_FALSE(first_not_finite(std::vector<float>{1, 3e38F}));
}

TEST(Quantize, Transposes) {
  EXPECT_EQ(transposed(std::vector<float>{1, 2, 3, 4, 5, 6}, 2, 3),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

}  // namespace
}  // namespace sluice::tools::compress
