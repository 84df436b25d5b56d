#include "statistics/shapley.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"

namespace sluice::statistics {
namespace {

using Row = std::vector<double>;
using Function = std::function<double(std::span<const double>)>;

struct Asked {
  std::size_t rows = 0;
  std::size_t calls = 0;
  std::size_t greatest = 0;
};

Result<ShapleyValues> explain(const std::vector<Row>& background, const Row& row, const Function& f,
                              const ShapleyOptions& options, Asked* asked = nullptr) {
  Row flat;
  for (const auto& each : background) flat.insert(flat.end(), each.begin(), each.end());
  const auto evaluate = [&](std::span<const double> rows,
                            std::span<double> answers) -> Result<void> {
    EXPECT_EQ(rows.size(), answers.size() * row.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      answers[i] = f(rows.subspan(i * row.size(), row.size()));
    }
    if (asked != nullptr) {
      asked->rows += answers.size();
      ++asked->calls;
      asked->greatest = std::max(asked->greatest, answers.size());
    }
    return {};
  };
  return shapley_values(flat, row, evaluate, options);
}

// Straight from Shapley's definition: the worth of every set of features over the whole background,
// then the weighted sum of what a feature adds to each set without it.
Row by_definition(const std::vector<Row>& background, const Row& row, const Function& f) {
  const std::size_t n = row.size();
  Row worth(std::size_t{1} << n);
  for (std::size_t set = 0; set < worth.size(); ++set) {
    for (Row mixed : background) {
      for (std::size_t i = 0; i < n; ++i) {
        if ((set >> i & 1) != 0) mixed[i] = row[i];
      }
      worth[set] += f(mixed) / static_cast<double>(background.size());
    }
  }
  Row out(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t set = 0; set < worth.size(); ++set) {
      if ((set >> i & 1) != 0) continue;
      const auto size = static_cast<double>(std::popcount(set));
      const auto total = static_cast<double>(n);
      const double weight =
          std::exp(std::lgamma(size + 1) + std::lgamma(total - size) - std::lgamma(total + 1));
      out[i] += weight * (worth[set | std::size_t{1} << i] - worth[set]);
    }
  }
  return out;
}

std::vector<Row> some_rows(std::size_t count, std::size_t width, std::uint64_t seed) {
  Random random(seed);
  std::vector<Row> out(count, Row(width));
  for (auto& row : out) {
    for (auto& value : row) value = 2 * random.uniform() - 1;
  }
  return out;
}

// Interactions of two, three and all features, a step and a saturation.
double tangled(std::span<const double> x) {
  double sum = 0;
  double product = 1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<double>(i + 1) * x[i];
    product *= 1 + x[i] / 2;
    if (i >= 1) sum += 2 * x[i - 1] * x[i];
    if (i >= 2) sum += 3 * x[i - 2] * x[i - 1] * x[i];
  }
  return std::tanh(sum / 3) + product + (x[0] > x[x.size() - 1] ? 1 : 0);
}

double linear(std::span<const double> x) {
  double out = 5;
  for (std::size_t i = 0; i < x.size(); ++i) out += static_cast<double>(i + 1) * x[i];
  return out;
}

double total(const ShapleyValues& values) {
  return std::accumulate(values.attributions.begin(), values.attributions.end(), values.base_value);
}

TEST(Shapley, EnumeratesWhereTheBudgetAllows) {
  for (const std::size_t width : {1U, 2U, 3U, 6U, 10U}) {
    const auto background = some_rows(5, width, 1);
    const auto row = some_rows(1, width, 2)[0];
    const auto found = explain(background, row, tangled, {.budget = 5U << width});
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->exact);
    EXPECT_EQ(found->evaluations, 5U << width);
    EXPECT_EQ(found->background_rows, 5U);
    const auto expected = by_definition(background, row, tangled);
    for (std::size_t i = 0; i < width; ++i) {
      EXPECT_NEAR(found->attributions[i], expected[i], 1e-12) << width << " " << i;
      EXPECT_EQ(found->errors[i], 0);
    }
    EXPECT_NEAR(found->answer, tangled(row), 1e-12);
    EXPECT_NEAR(total(*found), found->answer, 1e-12);
  }
}

TEST(Shapley, DrawnOrdersComeNearAndSayHowNear) {
  constexpr std::size_t kWidth = 10;
  const auto background = some_rows(6, kWidth, 3);
  int within = 0;
  int count = 0;
  double squares = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const auto row = some_rows(1, kWidth, 100 + seed)[0];
    const auto found =
        explain(background, row, tangled, {.budget = 3000, .tolerance = 0, .seed = seed});
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->exact);
    const auto expected = by_definition(background, row, tangled);
    for (std::size_t i = 0; i < kWidth; ++i) {
      ASSERT_GT(found->errors[i], 0);
      const double z = (found->attributions[i] - expected[i]) / found->errors[i];
      squares += z * z;
      if (std::abs(z) < 2) ++within;
      ++count;
      EXPECT_LT(std::abs(z), 5) << seed << " " << i;
    }
    EXPECT_NEAR(total(*found), found->answer, 1e-9);
  }
  // 95 % of a normal distribution lie within two errors; 400 draws of it within 92 % and 98 %.
  EXPECT_GT(within, 0.92 * count);
  EXPECT_NEAR(squares / count, 1, 0.25);
}

TEST(Shapley, SumIsTheAnswerAfterAnyBudget) {
  const auto background = some_rows(30, 12, 5);
  const auto row = some_rows(1, 12, 6)[0];
  for (std::size_t budget = 24; budget < 3000; budget += 97) {
    Asked asked;
    const auto found =
        explain(background, row, tangled, {.budget = budget, .tolerance = 0}, &asked);
    ASSERT_TRUE(found) << budget;
    EXPECT_LE(found->evaluations, budget);
    EXPECT_EQ(found->evaluations, asked.rows);
    EXPECT_GE(found->background_rows, 1U);
    EXPECT_NEAR(found->answer, tangled(row), 1e-12);
    EXPECT_NEAR(total(*found), found->answer, 1e-9) << budget;
  }
}

TEST(Shapley, LinearFunctionsAreExactAfterOnePair) {
  const auto background = some_rows(8, 20, 7);
  const auto row = some_rows(1, 20, 8)[0];
  const auto found = explain(background, row, linear, {.tolerance = 0});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->evaluations, 1U + 8 * (1 + 2 * 19));
  EXPECT_EQ(found->background_rows, 8U);
  for (std::size_t i = 0; i < 20; ++i) {
    double mean = 0;
    for (const auto& each : background) mean += each[i] / 8;
    EXPECT_NEAR(found->attributions[i], static_cast<double>(i + 1) * (row[i] - mean), 1e-12);
    EXPECT_LT(found->errors[i], 1e-12);
  }
}

TEST(Shapley, OnePairAloneIsNotBelievedToBeLinear) {
  const auto background = some_rows(1, 20, 7);
  const auto row = some_rows(1, 20, 8)[0];
  const auto found = explain(background, row, linear, {.tolerance = 0});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->evaluations, 2U + 2 * (2 * 19));
}

TEST(Shapley, PairsAreExactForInteractionsOfTwo) {
  const auto f = [](std::span<const double> x) {
    double out = 0;
    for (std::size_t i = 1; i < x.size(); ++i) out += x[i - 1] * x[i];
    return out;
  };
  const auto background = some_rows(3, 14, 9);
  const auto row = some_rows(1, 14, 10)[0];
  const auto found = explain(background, row, f, {.budget = 400, .tolerance = 0});
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->exact);
  const auto expected = by_definition(background, row, f);
  for (std::size_t i = 0; i < 14; ++i) {
    EXPECT_NEAR(found->attributions[i], expected[i], 1e-12);
    EXPECT_LT(found->errors[i], 1e-9);
  }
}

TEST(Shapley, StopsOnceTheErrorsAreSmall) {
  const auto background = some_rows(10, 12, 11);
  const auto row = some_rows(1, 12, 12)[0];
  const auto rough = explain(background, row, tangled, {.budget = 40'000, .tolerance = 0.1});
  const auto fine = explain(background, row, tangled, {.budget = 40'000, .tolerance = 0.01});
  ASSERT_TRUE(rough && fine);
  EXPECT_LT(rough->evaluations, fine->evaluations);
  EXPECT_LT(fine->evaluations, 40'000U);
  const auto greatest = [](const Row& values) {
    double out = 0;
    for (const double value : values) out = std::max(out, std::abs(value));
    return out;
  };
  EXPECT_LE(greatest(fine->errors), 0.01 * greatest(fine->attributions));
}

TEST(Shapley, WhatIsNotUsedGetsNothingAndTwinsGetTheSame) {
  // Feature 1 is not used; 0 and 3 are used alike.
  const auto f = [](std::span<const double> x) {
    return std::exp(x[0] * x[3] + x[2]) + std::sin(x[0] + x[3]) * x[2];
  };
  const std::vector<Row> background = {{0.5, 0.1, 0.2, 0.5}, {-1, 0.3, 0.7, -1}};
  for (const std::size_t budget : {2000U, 24U}) {
    const auto found = explain(background, {2, 9, -1, 2}, f, {.budget = budget, .tolerance = 0});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->exact, budget == 2000);
    EXPECT_NEAR(found->attributions[1], 0, 1e-12);
    EXPECT_NEAR(found->errors[1], 0, 1e-12);
    EXPECT_NE(found->attributions[0], 0);
    if (!found->exact) continue;  // drawn orders treat them alike only on average
    EXPECT_NEAR(found->attributions[0], found->attributions[3], 1e-12);
  }
}

TEST(Shapley, TheSeedDecides) {
  const auto background = some_rows(20, 15, 13);
  const auto row = some_rows(1, 15, 14)[0];
  const auto with = [&](std::uint64_t seed, std::size_t at_once) {
    return explain(background, row, tangled,
                   {.budget = 700, .at_once = at_once, .tolerance = 0, .seed = seed})
        ->attributions;
  };
  EXPECT_EQ(with(1, 256), with(1, 256));
  EXPECT_EQ(with(1, 256), with(1, 7));
  EXPECT_NE(with(1, 256), with(2, 256));
}

TEST(Shapley, AsksInFewLargeCalls) {
  const auto background = some_rows(10, 12, 15);
  const auto row = some_rows(1, 12, 16)[0];
  Asked asked;
  ASSERT_TRUE(
      explain(background, row, tangled, {.budget = 4096, .at_once = 100, .tolerance = 0}, &asked));
  EXPECT_EQ(asked.greatest, 100U);
  // One call for the ends, three for the 220 rows of each round.
  EXPECT_EQ(asked.rows, 11U + 18 * 220);
  EXPECT_EQ(asked.calls, 1U + 18 * 3);
}

TEST(Shapley, OneFeatureIsAllThereIs) {
  const auto f = [](std::span<const double> x) { return x[0] * x[0]; };
  for (const std::size_t budget : {100U, 3U}) {
    const auto found = explain({{1}, {2}}, {5}, f, {.budget = budget});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->base_value, 2.5);
    EXPECT_EQ(found->attributions, Row{22.5});
    EXPECT_EQ(found->errors, Row{0});
  }
}

TEST(Shapley, MissingValuesAreValues) {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  const auto f = [](std::span<const double> x) {
    return (std::isnan(x[0]) ? 3 : x[0]) * (std::isnan(x[1]) ? 5 : x[1]);
  };
  const auto found = explain({{missing, 2}}, {missing, missing}, f, {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->base_value, 6);
  EXPECT_EQ(found->attributions, (Row{0, 9}));
  EXPECT_EQ(found->evaluations, 2U) << "what is missing in both does not differ";
}

TEST(Shapley, ARowOfTheBackgroundHasNothingToExplain) {
  const auto found = explain({{1, 2, 3}}, {1, 2, 3}, linear, {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->attributions, (Row{0, 0, 0}));
  EXPECT_EQ(found->base_value, linear(Row{1, 2, 3}));
  EXPECT_EQ(found->evaluations, 1U);
}

TEST(Shapley, ABudgetTooSmallForOneWalkIsSaid) {
  const auto background = some_rows(4, 100, 17);
  const auto row = some_rows(1, 100, 18)[0];
  Asked asked;
  const auto found = explain(background, row, tangled, {.budget = 199}, &asked);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "not_explainable");
  EXPECT_NE(found.error().message.find("at least 200 evaluations"), std::string::npos);
  EXPECT_EQ(asked.rows, 0U);
  const auto just = explain(background, row, tangled, {.budget = 200});
  ASSERT_TRUE(just);
  EXPECT_EQ(just->evaluations, 200U);
  EXPECT_EQ(just->background_rows, 1U);
  EXPECT_GT(std::ranges::max(just->errors), 0) << "one pair's halves say how far they are apart";
}

TEST(Shapley, AnswersThatAreNotNumbersAreRefused) {
  const auto f = [](std::span<const double> x) { return 1 / x[0]; };
  const auto found = explain({{0, 1}}, {1, 2}, f, {});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "not_explainable");
}

TEST(Shapley, EndsWithTheFunctionsError) {
  int calls = 0;
  const auto evaluate = [&](std::span<const double>, std::span<double> answers) -> Result<void> {
    if (++calls == 2) return fail(Code::kDeadlineExceeded, "deadline_exceeded", "too late");
    std::ranges::fill(answers, 0);
    return {};
  };
  const Row flat(50, 1.0);
  const auto found = shapley_values(flat, Row(50, 2.0), evaluate, {.at_once = 10});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace sluice::statistics
