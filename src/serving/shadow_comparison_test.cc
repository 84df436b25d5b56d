#include "serving/shadow_comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sluice::serving {
namespace {

using Doubles = std::vector<double>;
using Names = std::vector<std::string_view>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// One side's answer; views the vectors that it is made of.
struct Said {
  explicit Said(Doubles numbers, std::size_t width = 1) : values(std::move(numbers)) {
    rows = values.size() / width;
  }
  Said(Doubles classes, Names names, Doubles p = {})
      : values(std::move(classes)), labels(std::move(names)), probabilities(std::move(p)) {
    rows = values.size();
  }
  Prediction view() const {
    Prediction out;
    out.rows = rows;
    out.values = values;
    out.labels = labels;
    out.probabilities = probabilities;
    return out;
  }
  Doubles values;
  Names labels;
  Doubles probabilities;
  std::size_t rows = 0;
};

struct Fixture {
  Fixture() {
    signature.inputs.push_back({"x", DType::kFloat32, {-1, 2}, Role::kUnknown});
    signature.inputs.push_back({"word", DType::kString, {-1, 1}, Role::kUnknown});
  }
  Result<ShadowComparison::Added> add(const Said& primary, const Said& shadow,
                                      std::optional<double> primary_ms = {},
                                      std::optional<double> shadow_ms = {}) {
    const Prediction first = primary.view();
    const Prediction second = shadow.view();
    return comparison.add(
        {first, second, inputs, signature, "id-7", tolerance, {}, primary_ms, shadow_ms});
  }
  ShadowComparison comparison;
  double tolerance = 0.01;
  Signature signature;
  std::vector<TensorView> inputs;
};

// numpy: d = abs(b - a); d.mean(), d.max(), np.quantile(d, q, method="lower")
TEST(ShadowComparison, RegressionsByHand) {
  Fixture fixture;
  const auto added = fixture.add(Said({1, 2, 3, 4}), Said({1, 2.005, 3.5, 2}));
  ASSERT_TRUE(added);
  EXPECT_EQ(added->rows, 4U);
  EXPECT_EQ(added->disagreed, 2U);
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.rows, 4U);
  EXPECT_EQ(report.agreed, 2U);
  EXPECT_DOUBLE_EQ(report.agreement_rate(), 0.5);
  EXPECT_NEAR(report.mean_difference, (0 + 0.005 + 0.5 + 2) / 4, 1e-12);
  EXPECT_DOUBLE_EQ(report.max_difference, 2);
  EXPECT_NEAR(report.quantiles[0], 0.005, 1e-12);
  EXPECT_DOUBLE_EQ(report.quantiles[1], 0.5);
  EXPECT_TRUE(report.confusion.empty());
  EXPECT_EQ(report.probability_rows, 0U);
  // {1, 2, 3, 4} against {1, 2, 2.005, 3.5}: at most one of four apart.
  EXPECT_EQ(report.tested, 4U);
  EXPECT_DOUBLE_EQ(report.ks_distance, 0.25);
}

TEST(ShadowComparison, TheToleranceIsOfWhatComesNext) {
  Fixture fixture;
  fixture.add(Said(Doubles{1}), Said(Doubles{1.5}));
  fixture.tolerance = 0.5;
  fixture.add(Said(Doubles{1}), Said(Doubles{1.5}));
  fixture.add(Said(Doubles{1}), Said(Doubles{1.75}));
  EXPECT_EQ(fixture.comparison.report().agreed, 1U);
}

TEST(ShadowComparison, QuantilesAreOfManyRows) {
  Fixture fixture;
  Doubles primary;
  Doubles shadow;
  for (int i = 0; i < 1000; ++i) {
    primary.push_back(0);
    shadow.push_back(i);
  }
  ASSERT_TRUE(fixture.add(Said(primary), Said(shadow)));
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.quantiles, (std::array{499.0, 949.0, 989.0}));
  EXPECT_DOUBLE_EQ(report.mean_difference, 499.5);
  EXPECT_DOUBLE_EQ(report.ks_distance, 0.999);
  EXPECT_LT(report.ks_p_value, 1e-9);
}

TEST(ShadowComparison, VectorsByTheirWorstElement) {
  Fixture fixture;
  ASSERT_TRUE(fixture.add(Said({1, 2, 3, 4}, 2), Said({1, 2, 3, 7}, 2)));
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.rows, 2U);
  EXPECT_EQ(report.agreed, 1U);
  EXPECT_DOUBLE_EQ(report.mean_difference, 1.5);
  EXPECT_EQ(report.tested, 0U) << "no single number to test";
  ASSERT_EQ(report.worst.size(), 1U);
  EXPECT_EQ(report.worst[0].primary, "[3,4]");
  EXPECT_EQ(report.worst[0].shadow, "[3,7]");
}

TEST(ShadowComparison, ClassesByName) {
  Fixture fixture;
  // The shadow's list has the two the other way round.
  const Said primary({0, 1, 1}, {"no", "yes", "yes"}, {0.8, 0.2, 0.4, 0.6, 0.1, 0.9});
  const Said shadow({1, 0, 1}, {"no", "yes", "no"}, {0.7, 0.3, 0.4, 0.6, 0.55, 0.45});
  ASSERT_TRUE(fixture.add(primary, shadow));
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.agreed, 2U);
  const std::map<std::pair<std::string, std::string>, std::uint64_t> expected = {
      {{"no", "no"}, 1}, {{"yes", "yes"}, 1}, {{"yes", "no"}, 1}};
  EXPECT_EQ(report.confusion, expected);
  EXPECT_DOUBLE_EQ(report.max_difference, 1) << "the same place, another class";
  EXPECT_EQ(report.probability_rows, 3U);
  EXPECT_NEAR(report.mean_probability_difference, (0.1 + 0 + 0.45) / 3, 1e-12);
  EXPECT_NEAR(report.max_probability_difference, 0.45, 1e-12);
  // Of "yes": {0.2, 0.6, 0.9} against {0.3, 0.6, 0.45}; at 0.6 it is 2/3 and 1.
  EXPECT_NEAR(report.ks_distance, 1.0 / 3, 1e-12);
  ASSERT_EQ(report.worst.size(), 1U);
  EXPECT_EQ(report.worst[0].row, 2U);
  EXPECT_NEAR(report.worst[0].difference, 0.45, 1e-12);
}

TEST(ShadowComparison, ClassesWithoutNamesAreNumbers) {
  Fixture fixture;
  ASSERT_TRUE(fixture.add(Said({0, 2}, Names{}, {0.9, 0.05, 0.05, 0.1, 0.1, 0.8}),
                          Said({0, 1}, Names{}, {0.9, 0.05, 0.05, 0.1, 0.8, 0.1})));
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.confusion.at({"0", "0"}), 1U);
  EXPECT_EQ(report.confusion.at({"2", "1"}), 1U);
  EXPECT_DOUBLE_EQ(report.max_difference, 1);
  EXPECT_NEAR(report.max_probability_difference, 0.7, 1e-12);
}

TEST(ShadowComparison, ThereIsAnEndToClasses) {
  Fixture fixture;
  for (int i = 0; i < 300; ++i) {
    const auto name = "c" + std::to_string(i);
    ASSERT_TRUE(fixture.add(Said(Doubles{0}, Names{name}), Said(Doubles{0}, Names{name})));
  }
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.confusion.size(), ShadowComparison::kMostClasses + 1);
  EXPECT_EQ(report.confusion.at({"(others)", "(others)"}), 200U);
}

TEST(ShadowComparison, WhatIsNoNumberDisagreesAndIsInNoMean) {
  Fixture fixture;
  ASSERT_TRUE(fixture.add(Said({1, 2, kNan}), Said({kNan, 4, kNan})));
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.rows, 3U);
  EXPECT_EQ(report.agreed, 1U) << "neither knows";
  EXPECT_EQ(report.not_finite, 1U);
  EXPECT_DOUBLE_EQ(report.mean_difference, 1);
  ASSERT_EQ(report.worst.size(), 2U);
  EXPECT_TRUE(std::isinf(report.worst[0].difference));
  EXPECT_EQ(report.worst[0].shadow, "null");
}

TEST(ShadowComparison, WhatCannotBeComparedIsNotCounted) {
  Fixture fixture;
  const std::pair<Said, Said> cases[] = {
      {Said({1, 2}), Said(Doubles{1})},                    // rows
      {Said({1, 2}, 2), Said(Doubles{1})},                 // width
      {Said(Doubles{1}), Said(Doubles{1}, Names{"yes"})},  // only one is a class
  };
  for (const auto& [primary, shadow] : cases) {
    const auto added = fixture.add(primary, shadow);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().reason, "not_comparable");
  }
  EXPECT_EQ(fixture.comparison.report().rows, 0U);
  EXPECT_TRUE(std::isnan(fixture.comparison.report().agreement_rate()));
}

TEST(ShadowComparison, OfManyRowsSomeAreLookedAt) {
  Fixture fixture;
  const auto added = fixture.add(Said(Doubles(5000, 1)), Said(Doubles(5000, 1)));
  ASSERT_TRUE(added);
  EXPECT_EQ(added->rows, ShadowComparison::kMostRows);
}

TEST(ShadowComparison, TheWorstAreKeptWithTheirInputs) {
  Fixture fixture;
  const float numbers[] = {1, 2, 3.5, 4};
  const std::string_view words[] = {"a\"b", "two"};
  TensorView x;
  x.shape = {2, 2};
  x.data = std::as_bytes(std::span(numbers));
  TensorView word;
  word.dtype = DType::kString;
  word.shape = {2, 1};
  word.strings = words;
  fixture.inputs = {x, word};
  ASSERT_TRUE(fixture.add(Said({1, 1}), Said({3, 2})));
  auto worst = fixture.comparison.report().worst;
  ASSERT_EQ(worst.size(), 2U);
  EXPECT_EQ(worst[0].difference, 2);
  EXPECT_EQ(worst[0].inputs, R"({"x":[1,2],"word":["a\"b"]})");
  EXPECT_EQ(worst[1].inputs, R"({"x":[3.5,4],"word":["two"]})");
  EXPECT_EQ(worst[0].primary, "1");
  EXPECT_EQ(worst[0].shadow, "3");
  EXPECT_EQ(worst[0].request_id, "id-7");
  EXPECT_FALSE(worst[0].cut);
  for (int i = 0; i < 30; ++i) fixture.add(Said({1, 1}), Said({i + 1.0, i + 1.5}));
  worst = fixture.comparison.report().worst;
  ASSERT_EQ(worst.size(), ShadowComparison::kWorst);
  EXPECT_EQ(worst.front().difference, 29.5);
  EXPECT_EQ(worst.back().difference, 25);
}

TEST(ShadowComparison, LargeInputsAreCut) {
  Fixture fixture;
  const std::vector<float> numbers(100, 1);
  TensorView x;
  x.shape = {1, 100};
  x.data = std::as_bytes(std::span(numbers));
  fixture.inputs = {x};
  ASSERT_TRUE(fixture.add(Said(Doubles{1}), Said(Doubles{2})));
  const std::string long_word(100'000, '\x01');
  const std::vector<std::string_view> words(60, long_word);
  TensorView word;
  word.dtype = DType::kString;
  word.shape = {1, 60};
  word.strings = words;
  fixture.inputs = {word};
  ASSERT_TRUE(fixture.add(Said(Doubles{1}), Said(Doubles{9})));
  const auto worst = fixture.comparison.report().worst;
  ASSERT_EQ(worst.size(), 2U);
  EXPECT_TRUE(worst[0].cut);
  EXPECT_LE(worst[0].inputs.size(), 4096U);
  EXPECT_TRUE(worst[1].cut);
  EXPECT_EQ(std::ranges::count(worst[1].inputs, ','), 63);
}

TEST(ShadowComparison, TimesInPairs) {
  Fixture fixture;
  const Said one(Doubles{1});
  for (int i = 1; i <= 100; ++i) fixture.add(one, one, i, 2.0 * i);
  fixture.add(one, one, {}, 1000);
  fixture.add(one, one, 1000, {});
  const auto report = fixture.comparison.report();
  EXPECT_EQ(report.timed, 100U);
  // The sketch is off by at most 0.55 %.
  EXPECT_NEAR(report.primary_ms[0], 50, 0.5);
  EXPECT_NEAR(report.primary_ms[1], 95, 1);
  EXPECT_NEAR(report.latency_p95_ratio(), 2, 0.03);
}

}  // namespace
}  // namespace sluice::serving
