// Histograms and the ways to choose a range, against numpy (tests/compress/int8_golden.py).
#include "tools/compress/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

namespace sluice::tools::compress {
namespace {

using nlohmann::json;

json golden() {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/tests/compress/int8_golden.json");
  return json::parse(file)["calibration"];
}

// As the script makes them: each operation is exact or rounded once.
std::vector<float> numbers(const std::string& kind, std::size_t count) {
  std::vector<float> out;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double u = static_cast<double>(i * 2654435761U % (std::uint64_t{1} << 32)) / 0x1p32;
    double v = 2 * u - 1;
    v = v * v * v * 5;
    if (kind == "relu") v = std::max(v, 0.0);
    if (kind == "tail" && i % 1000 == 7) v *= 40;
    if (kind == "below") v = -std::fabs(v) - 0.25;
    if (kind == "zero") v *= 0;
    out.push_back(static_cast<float>(v));
  }
  return out;
}

json bits_of(Range range) {
  return {std::bit_cast<std::uint32_t>(range.low), std::bit_cast<std::uint32_t>(range.high)};
}

std::uint64_t weighed(std::span<const std::uint64_t> bins) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < bins.size(); ++i) out += i * bins[i];
  return out;
}

TEST(Calibration, EveryMethodIsWhatNumpyComputes) {
  int seen = 0;
  for (const auto& each : golden()) {
    const auto values = numbers(each["kind"], each["count"]);
    Histogram histogram;
    // In pieces, of which the first ones know nothing of what is to come.
    for (std::size_t from = 0; from < values.size(); from += 777) {
      histogram.add(
          std::span(values).subspan(from, std::min<std::size_t>(777, values.size() - from)));
    }
    EXPECT_EQ(histogram.width(), each["width"]) << each;
    EXPECT_EQ(weighed(histogram.below()), each["below"]) << each;
    EXPECT_EQ(weighed(histogram.above()), each["above"]) << each;
    EXPECT_EQ(std::reduce(histogram.below().begin(), histogram.below().end()), each["negative"]);
    EXPECT_EQ(bits_of(min_max(histogram)), each["min_max"]) << each;
    for (const auto& [percent, range] : each["percentile"].items()) {
      EXPECT_EQ(bits_of(percentile(histogram, std::stod(percent))), range) << percent << each;
    }
    EXPECT_EQ(bits_of(entropy(histogram)), each["entropy"]) << each;
    ++seen;
  }
  EXPECT_EQ(seen, 5);
}

TEST(Calibration, HistogramsAreTheSameWhateverTheOrder) {
  auto values = numbers("tail", 5000);
  Histogram once;
  once.add(values);
  std::ranges::sort(values, {}, [](float value) { return std::fabs(value); });
  Histogram one_by_one;
  for (const float& value : values) one_by_one.add({&value, 1});
  EXPECT_EQ(once.width(), one_by_one.width());
  EXPECT_TRUE(std::ranges::equal(once.above(), one_by_one.above()));
  EXPECT_TRUE(std::ranges::equal(once.below(), one_by_one.below()));
  EXPECT_EQ(once.low(), one_by_one.low());
  EXPECT_EQ(once.high(), one_by_one.high());
}

TEST(Calibration, PercentilesLeaveOutWhatIsFarAway) {
  std::vector<float> values(10'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 100) / 100;
  values[5] = 1000;
  Histogram histogram;
  histogram.add(values);
  EXPECT_EQ(min_max(histogram).high, 1000);
  EXPECT_LT(percentile(histogram, 99.9).high, 2);
  EXPECT_EQ(percentile(histogram, 100).high, 1000);
}

TEST(Calibration, EntropyClipsATail) {
  Histogram histogram;
  histogram.add(numbers("tail", 20'000));
  const auto range = entropy(histogram);
  EXPECT_LT(range.high, histogram.high() / 2);
  EXPECT_GT(range.high, 4) << "but not what most values are";
}

TEST(Calibration, TheLargestAndTheLeastFloats) {
  for (const float value : {1e-45F, 1e-38F, 3.4e38F}) {
    Histogram histogram;
    histogram.add(std::vector<float>{value, -value, 0});
    EXPECT_EQ(min_max(histogram).high, value);
    EXPECT_EQ(percentile(histogram, 99.99).low, -value);
  }
}

}  // namespace
}  // namespace sluice::tools::compress
