#include "serving/explain_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "serving/testing/formula.h"

namespace sluice::serving {
namespace {

using testing::Formula;
using testing::FormulaOptions;
using testing::Served;
using Rows = std::vector<std::vector<double>>;

void linear(std::span<const double> x, std::span<double> y) {
  y[0] = 5;
  for (std::size_t i = 0; i < x.size(); ++i) y[0] += static_cast<double>(i + 1) * x[i];
}

// Features that act together.
double tangle(std::span<const double> x) { return std::exp(x[0] * x[1]) + x[1] * x[2] - x[0]; }
void tangled(std::span<const double> x, std::span<double> y) { y[0] = tangle(x); }
void positive(std::span<const double> x, std::span<double> y) {
  y[0] = 1 / (1 + std::exp(-tangle(x)));
}

ModelConfig with_background(Rows rows, std::int64_t budget = 2000) {
  ModelConfig config;
  config.explain.emplace();
  config.explain->background = std::move(rows);
  config.explain->budget = budget;
  return config;
}

// Answered by the version, ready to be explained.
template <class T = float>
struct Asked {
  Asked(const Served& served, const Rows& rows) : request(make_request()) {
    const Signature& signature = served.servable->signature();
    request->servable = served.servable;
    request->rows = rows.size();
    request->wants_prediction = true;
    request->may_split_rows = true;
    const std::size_t parts = signature.inputs.size();
    request->inputs = request->arena.array<TensorView>(parts);
    for (std::size_t i = 0; i < parts; ++i) {
      const std::size_t width = rows[0].size() / parts;
      auto values = request->arena.array<T>(rows.size() * width);
      for (std::size_t k = 0; k < values.size(); ++k) {
        values[k] = static_cast<T>(rows[k / width][i * width + k % width]);
      }
      request->inputs[i] =
          TensorView{signature.inputs[i].dtype,
                     {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(width)},
                     std::as_bytes(values),
                     {}};
    }
    EXPECT_TRUE(served.servable->run(request));
    EXPECT_FALSE(request->reply.error);
  }
  const Explanation& explanation() const { return *request->reply.explanation; }
  const RowExplanation& row(std::size_t i = 0) const { return explanation().rows[i]; }
  double total(std::size_t i = 0) const {
    return std::accumulate(row(i).attributions.begin(), row(i).attributions.end(),
                           row(i).base_value);
  }
  RequestPtr request;
};

TEST(ExplainRows, ValuesAreComparedWithTheBackground) {
  const Served served({}, linear, with_background({{1, 1, 1}, {3, 1, 1}}));
  Asked asked(served, {{4, 2, 1}, {2, 1, 0}});
  ASSERT_TRUE(explainable(*asked.request));
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(asked.explanation().method, "permutation_shap");
  EXPECT_EQ(asked.explanation().output, "value");
  EXPECT_EQ(asked.explanation().features[2], "feature_2");
  ASSERT_EQ(asked.explanation().rows.size(), 2U);
  EXPECT_FALSE(asked.row().of_class);
  EXPECT_EQ(asked.row().base_value, 12);
  EXPECT_EQ(asked.row().values[1], 2);
  const double first[] = {2, 2, 0};
  const double second[] = {0, 0, -3};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(asked.row(0).attributions[i], first[i], 1e-9);
    EXPECT_NEAR(asked.row(1).attributions[i], second[i], 1e-9);
  }
  EXPECT_EQ(asked.row().background_rows, 2U);
  EXPECT_GT(asked.row().evaluations, 0U);
  EXPECT_EQ(asked.row().error, 0);
  EXPECT_TRUE(asked.request->warnings.empty());
}

TEST(ExplainRows, OfOneProbabilityThePredictedClassIsExplained) {
  const Served served({.role = Role::kProbabilities}, positive, with_background({{0.1, 0.2, 0.3}}));
  const Rows rows = {{1, 1, 1}, {2, -2, 1}};
  Asked asked(served, rows);
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(asked.explanation().output, "probability");
  EXPECT_EQ(*asked.row(0).of_class, 1U);
  EXPECT_EQ(*asked.row(1).of_class, 0U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(asked.total(i), asked.request->reply.prediction.confidences[i], 1e-9);
  }
}

TEST(ExplainRows, OfSeveralProbabilitiesThePredictedOnesIsExplained) {
  const auto three = [](std::span<const double> x, std::span<double> y) {
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i) sum += y[i] = std::exp(x[i]);
    for (double& p : y) p /= sum;
  };
  const Served served({.answers = 3, .role = Role::kProbabilities}, three,
                      with_background({{0, 0, 0}, {1, 0, 1}}));
  Asked asked(served, {{0, 2, 1}});
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(*asked.row().of_class, 1U);
  EXPECT_NEAR(asked.total(), asked.request->reply.prediction.confidences[0], 1e-9);
  EXPECT_GT(asked.row().attributions[1], 0);
}

TEST(ExplainRows, ModelsThatExplainThemselvesAreAsked) {
  const auto softmax = [](std::span<const double>, std::span<double> y) { y[1] = 1; };
  const Served served({.answers = 2, .role = Role::kProbabilities, .explains = true}, softmax);
  Asked asked(served, {{1, 2, 3}});
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(asked.explanation().method, "tree_shap");
  EXPECT_EQ(asked.explanation().output, "margin");
  EXPECT_EQ(*asked.row().of_class, 1U);
  EXPECT_EQ(asked.row().base_value, 1.5);
  EXPECT_EQ(asked.row().attributions[2], 6);
  EXPECT_EQ(asked.row().evaluations, 0U);
  EXPECT_EQ(served.model->rows_asked(), 1U) << "only for the prediction";
}

TEST(ExplainRows, OneMarginIsThatOfClassOne) {
  const Served served({.role = Role::kProbabilities, .explains = true}, positive);
  Asked asked(served, {{2, -2, 1}});
  EXPECT_EQ(asked.request->reply.prediction.values[0], 0);
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(*asked.row().of_class, 1U);
}

TEST(ExplainRows, WithoutABackgroundZerosAreAssumedAndSaid) {
  const Served served({}, linear);
  Asked asked(served, {{4, 2, 1}});
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(asked.row().base_value, 5);
  ASSERT_EQ(asked.request->warnings.size(), 1U);
  EXPECT_NE(asked.request->warnings[0].find("zeros"), std::string::npos);
}

TEST(ExplainRows, TrainingMeansComeBeforeZeros) {
  ModelConfig config;
  for (const double mean : {1.0, 2.0, 0.0}) {
    Training training;
    training.mean = mean;
    config.inputs.push_back({"c" + std::to_string(config.inputs.size()), {}, training});
  }
  const Served served({}, linear, config);
  Asked asked(served, {{4, 2, 1}});
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(asked.row().base_value, 10);
  EXPECT_EQ(asked.explanation().features[2], "c2");
  ASSERT_EQ(asked.request->warnings.size(), 1U);
  EXPECT_NE(asked.request->warnings[0].find("training means"), std::string::npos);
  config.inputs[1].training.reset();
  const Served some({}, linear, config);
  Asked again(some, {{4, 2, 1}});
  ASSERT_TRUE(explain_rows(*again.request, nullptr));
  EXPECT_EQ(again.row().base_value, 5) << "means of some columns are no row";
}

TEST(ExplainRows, RecentRowsComeBeforeZerosAndBehindModelYaml) {
  class Recent final : public Background {
    std::vector<double> rows(const Servable&, std::size_t width, std::size_t most) const override {
      EXPECT_EQ(width, 3U);
      EXPECT_EQ(most, 100U);
      return {1, 1, 1};
    }
  };
  const Recent recent;
  const Served bare({}, linear);
  Asked asked(bare, {{4, 2, 1}});
  ASSERT_TRUE(explain_rows(*asked.request, &recent));
  EXPECT_EQ(asked.row().base_value, 11);
  ASSERT_EQ(asked.request->warnings.size(), 1U);
  EXPECT_NE(asked.request->warnings[0].find("1 rows of recent traffic"), std::string::npos);
  const Served given({}, linear, with_background({{2, 2, 2}}));
  Asked again(given, {{4, 2, 1}});
  ASSERT_TRUE(explain_rows(*again.request, &recent));
  EXPECT_EQ(again.row().base_value, 17);
  const std::vector<double> own = {0, 0, 1};
  again.request->background = own;
  ASSERT_TRUE(explain_rows(*again.request, &recent));
  EXPECT_EQ(again.row().base_value, 8) << "the request's own come first";
}

TEST(ExplainRows, SeveralInputsAreOneRow) {
  const Served served({.apart = true}, tangled, with_background({{0, 1, 2}}));
  Asked asked(served, {{1, 2, 3}});
  ASSERT_TRUE(explainable(*asked.request));
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(asked.explanation().features[1], "x1");
  EXPECT_NEAR(asked.total(), tangle(std::vector<double>{1, 2, 3}), 1e-9);
}

TEST(ExplainRows, IntegersStayIntegers) {
  const auto whole = [](std::span<const double> x, std::span<double> y) {
    y[0] = x[0] + 10 * x[1] + 100 * x[2];
  };
  const Served served({.dtype = DType::kInt64}, whole, with_background({{1.4, 0, -2.6}}));
  Asked<std::int64_t> asked(served, {{3, 2, 1}});
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(asked.row().base_value, 1 - 300);
  EXPECT_NEAR(asked.total(), 123, 1e-9);
}

TEST(ExplainRows, ModelsOfOneRowAreAskedRowByRow) {
  const Served served({.first_dim = 1}, tangled, with_background({{0, 1, 2}}));
  Asked asked(served, {{1, 2, 3}});
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_EQ(served.model->most_at_once(), 1U);
  EXPECT_NEAR(asked.total(), tangle(std::vector<double>{1, 2, 3}), 1e-9);
}

TEST(ExplainRows, TheBudgetIsKeptAndNothingIsLearnedOfTheCost) {
  Rows background(20);
  for (std::size_t i = 0; i < 20; ++i)
    background[i] = std::vector<double>(16, 0.01 * (double(i) - 9.5));
  const auto f = [](std::span<const double> x, std::span<double> y) {
    double product = 1;
    for (const double v : x) product *= 1 + v;
    y[0] = product;
  };
  const Served served({.width = 16}, f, with_background(background, 500));
  Asked asked(served, {std::vector<double>(16, 0.5)});
  const auto before = served.model->rows_asked();
  const auto runs = served.servable->tally().sums().executions;
  ASSERT_TRUE(explain_rows(*asked.request, nullptr));
  EXPECT_LE(asked.row().evaluations, 500U);
  EXPECT_EQ(served.model->rows_asked() - before, asked.row().evaluations);
  EXPECT_EQ(served.servable->tally().sums().executions, runs);
  EXPECT_GT(asked.row().error, 0);
}

TEST(ExplainRows, WhatCannotBeExplainedIsSaid) {
  const auto reason = [](const Served& served, const Rows& rows) {
    Asked asked(served, rows);
    auto able = explainable(*asked.request);
    if (able) able = explain_rows(*asked.request, nullptr);
    EXPECT_FALSE(able);
    return able ? std::string() : std::string(able.error().reason) + ": " + able.error().message;
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.starts_with("not_explainable: ") && text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(reason(Served({.role = Role::kLabel}, linear), {{1, 2, 3}}), "no probability"));
  EXPECT_TRUE(has(reason(Served({}, linear), Rows(33, {1, 2, 3})), "at most 32 rows"));
  EXPECT_TRUE(
      has(reason(Served({.answers = 2}, [](auto, auto y) { y[1] = y[0] = 1; }), {{1, 2, 3}}),
          "2 numbers"));
  EXPECT_TRUE(
      has(reason(Served({}, [](auto, auto y) { y[0] = std::nan(""); }), {{1, 2, 3}}), "finite"));
  EXPECT_TRUE(has(reason(Served({}, tangled, with_background({{9, 9, 9}}, 4)), {{1, 2, 3}}),
                  "at least 6 evaluations"));
}

TEST(ExplainRows, ABackgroundOfAnotherWidthIsRefusedWithTheVersion) {
  const Served served({}, linear, with_background({{1, 2}}));
  ASSERT_TRUE(served.error);
  EXPECT_EQ(served.error->reason, "bad_config");
  EXPECT_NE(served.error->message.find("rows of 2 numbers, but the model takes 3"),
            std::string::npos);
}

TEST(ExplainRows, EndsAtTheDeadline) {
  const Served served({}, tangled, with_background({{0, 1, 2}}));
  Asked asked(served, {{1, 2, 3}});
  asked.request->deadline = std::chrono::steady_clock::now();
  const auto ended = explain_rows(*asked.request, nullptr);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().reason, "no_time");
  EXPECT_EQ(asked.request->reply.explanation, nullptr);
}

}  // namespace
}  // namespace sluice::serving
