#include "serving/guard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "serving/debug.h"

namespace sluice::serving {
namespace {

using Guarded = Servable::Guarded;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

InputColumn column(std::string name, std::optional<Bounds> bounds,
                   std::optional<Training> training = std::nullopt) {
  InputColumn out;
  out.name = std::move(name);
  out.bounds = bounds;
  out.training = std::move(training);
  return out;
}

Training trained(double mean, double std) {
  Training out;
  out.mean = mean;
  out.std = std;
  return out;
}

// A model of one table "x" with the columns age and income; income is open above.
struct Fixture {
  Fixture() {
    config.inputs = {column("age", Bounds{0, 120}), column("income", Bounds{0.1, std::nullopt})};
    signature.inputs = {{"x", DType::kFloat32, {-1, 2}, Role::kUnknown}};
    signature.columns = {"age", "income"};
  }
  std::unique_ptr<const Guard> make() {
    auto made = Guard::make(signature, config);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    return made ? *std::move(made) : nullptr;
  }
  Guarded ask(std::vector<float> values) {
    const auto guard = make();
    request = make_request();
    data = std::move(values);
    request->inputs = request->arena.array<TensorView>(1);
    request->rows = data.size() / 2;
    request->inputs[0] = {DType::kFloat32,
                          {static_cast<std::int64_t>(request->rows), 2},
                          std::as_bytes(std::span(data)),
                          {}};
    return guard->check_inputs(*request, signature, tally);
  }

  ModelConfig config;
  Signature signature;
  Tally tally;
  std::vector<float> data;
  RequestPtr request;
};

TEST(Guard, WithinTheBoundsNothingHappens) {
  Fixture fixture;
  EXPECT_EQ(fixture.ask({41, 1000}), Guarded::kPasses);
  EXPECT_EQ(fixture.ask({0, 0.1F}), Guarded::kPasses) << "bounds belong to the range";
  EXPECT_EQ(fixture.ask({120, 1e30F}), Guarded::kPasses) << "income is open above";
  EXPECT_EQ(fixture.ask({kInf, 5}), Guarded::kRefused);
  EXPECT_EQ(fixture.ask({5, kInf}), Guarded::kPasses) << "open means infinity too";
  EXPECT_EQ(fixture.ask({static_cast<float>(kNan), 5}), Guarded::kPasses) << "a missing value";
  EXPECT_TRUE(fixture.request->warnings.empty());
}

TEST(Guard, ARefusalNamesFeatureValueAndBoundsOfEachViolation) {
  Fixture fixture;
  ASSERT_EQ(fixture.ask({41, 1000, 150, -3}), Guarded::kRefused);
  const Error& error = *fixture.request->reply.error;
  EXPECT_EQ(error.reason, "bounds");
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_EQ(error.message, "'age' is 150, outside its bounds [0, 120]; and 1 more");
  ASSERT_EQ(error.details.size(), 2U);
  EXPECT_EQ(error.details[0].feature, "age");
  EXPECT_EQ(error.details[0].value, 150);
  EXPECT_EQ(error.details[0].low, 0);
  EXPECT_EQ(error.details[0].high, 120);
  EXPECT_EQ(error.details[1].feature, "income");
  EXPECT_EQ(error.details[1].high, std::nullopt);
  EXPECT_EQ(fixture.tally.violations().at("age"), 1U);
  EXPECT_EQ(fixture.tally.violations().at("income"), 1U);
}

TEST(Guard, ManyViolationsAreCountedAndNotAllTold) {
  Fixture fixture;
  ASSERT_EQ(fixture.ask(std::vector<float>(2000, -1)), Guarded::kRefused);
  EXPECT_EQ(fixture.request->reply.error->details.size(), 100U);
  EXPECT_NE(fixture.request->reply.error->message.find("and 1999 more"), std::string::npos);
}

TEST(Guard, WarningsLetTheRequestThrough) {
  Fixture fixture;
  fixture.config.guard.emplace().bounds = GuardAction::kWarn;
  EXPECT_EQ(fixture.ask({150, 1}), Guarded::kPasses);
  ASSERT_EQ(fixture.request->warnings.size(), 1U);
  EXPECT_EQ(fixture.request->warnings[0], "'age' is 150, outside its bounds [0, 120]");
  EXPECT_FALSE(fixture.request->reply.error);
  fixture.config.guard->bounds = GuardAction::kOff;
  EXPECT_EQ(fixture.ask({150, 1}), Guarded::kPasses);
  EXPECT_TRUE(fixture.request->warnings.empty());
  EXPECT_EQ(fixture.tally.violations().at("age"), 1U) << "off counts nothing";
}

TEST(Guard, AnomaliesAreFarFromTheTrainingMean) {
  Fixture fixture;
  fixture.config.inputs = {column("age", std::nullopt, trained(40, 10)),
                           column("income", std::nullopt, trained(5, 0))};
  fixture.config.guard.emplace().anomalies = GuardAction::kReject;
  EXPECT_EQ(fixture.ask({70, 1e6}), Guarded::kPasses) << "just three, and one that never varied";
  ASSERT_EQ(fixture.ask({9, 5}), Guarded::kRefused);
  EXPECT_EQ(fixture.request->reply.error->reason, "guard");
  EXPECT_EQ(fixture.request->reply.error->message,
            "'age' is 9, 3.1 standard deviations from its training mean 40");
  fixture.config.guard->anomaly_z = 4;
  EXPECT_EQ(fixture.ask({9, 5}), Guarded::kPasses);
}

TEST(Guard, WithoutTrainingStatisticsARequestIsComparedWithItself) {
  Fixture fixture;
  fixture.config.inputs = {column("age", std::nullopt), column("income", std::nullopt)};
  fixture.config.guard.emplace().anomalies = GuardAction::kWarn;
  EXPECT_EQ(fixture.ask({1, 2, 3, 4, 5, 6}), Guarded::kPasses);
  EXPECT_TRUE(fixture.request->warnings.empty());
  std::vector<float> values(40, 1);
  values[7] = 100;
  EXPECT_EQ(fixture.ask(values), Guarded::kPasses);
  ASSERT_EQ(fixture.request->warnings.size(), 1U);
  EXPECT_EQ(fixture.request->warnings[0], "Contains outliers (z-score > 3): 'income'");
  EXPECT_EQ(fixture.ask({1, static_cast<float>(kNan)}), Guarded::kPasses);
  EXPECT_EQ(fixture.request->warnings[0], "Contains NaN values: 'income'");
}

TEST(Guard, IntegersAndSeveralInputsAreGuardedByName) {
  Fixture fixture;
  fixture.signature.columns.clear();
  fixture.signature.inputs = {{"zip", DType::kString, {-1, 1}, Role::kUnknown},
                              {"age", DType::kInt64, {-1, 1}, Role::kUnknown}};
  fixture.config.inputs = {column("age", Bounds{0, 120})};
  const auto guard = fixture.make();
  const std::vector<std::int64_t> ages = {30, 130};
  const std::vector<std::string_view> zips = {"a", "b"};
  auto request = make_request();
  request->inputs = request->arena.array<TensorView>(2);
  request->inputs[0] = {DType::kString, {2, 1}, {}, zips};
  request->inputs[1] = {DType::kInt64, {2, 1}, std::as_bytes(std::span(ages)), {}};
  request->rows = 2;
  ASSERT_EQ(guard->check_inputs(*request, fixture.signature, fixture.tally), Guarded::kRefused);
  EXPECT_EQ(request->reply.error->details.size(), 1U);
  EXPECT_EQ(request->reply.error->details[0].value, 130);
}

TEST(Guard, NothingToWatchIsNoGuard) {
  Fixture fixture;
  fixture.config.inputs = {column("age", std::nullopt), column("income", std::nullopt)};
  EXPECT_EQ(fixture.make(), nullptr);
}

TEST(Guard, AFallbackHasToBeSaid) {
  Fixture fixture;
  fixture.config.guard.emplace().bounds = GuardAction::kFallback;
  const auto made = Guard::make(fixture.signature, fixture.config);
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().message.find("fallback: {version: NAME}"), std::string::npos);
  auto& fallback = fixture.config.guard->fallback.emplace();
  fallback.version = "v1";
  fallback.prediction = 0;
  EXPECT_FALSE(Guard::make(fixture.signature, fixture.config).has_value()) << "one of the two";
  fallback.prediction.reset();
  EXPECT_EQ(fixture.ask({150, 1}), Guarded::kFallsBack);
}

struct OutputFixture : Fixture {
  OutputFixture() {
    auto& outputs = config.guard.emplace().outputs.emplace();
    outputs.range = Bounds{0, 1};
  }
  Guarded answer(std::vector<double> values, std::vector<double> probabilities = {}) {
    const auto guard = make();
    request = make_request();
    Prediction prediction;
    prediction.rows = values.size();
    prediction.values = values;
    prediction.probabilities = probabilities;
    prediction.classified = !probabilities.empty();
    return guard->check_outputs(prediction, *request, tally);
  }
};

TEST(OutputGuard, ValuesOfARegressionProbabilitiesOfAClass) {
  OutputFixture fixture;
  EXPECT_EQ(fixture.answer({0.5, 1}), Guarded::kPasses);
  EXPECT_EQ(fixture.answer({7}, {0.1, 0.9}), Guarded::kPasses) << "7 is a class";
  EXPECT_FALSE(fixture.request->unsound);
  ASSERT_EQ(fixture.answer({1.5}), Guarded::kRefused);
  EXPECT_TRUE(fixture.request->unsound);
  EXPECT_EQ(fixture.request->reply.error->message,
            "the prediction is 1.5, outside the range [0, 1] of guard.outputs");
  EXPECT_EQ(fixture.request->reply.error->details[0].feature, "prediction");
  EXPECT_EQ(fixture.answer({1}, {-0.1, 1.1}), Guarded::kRefused);
  EXPECT_EQ(fixture.answer({kNan}), Guarded::kRefused);
  EXPECT_EQ(fixture.request->reply.error->message, "the prediction is not a finite number");
  EXPECT_EQ(fixture.tally.violations().at("prediction"), 3U);
}

TEST(OutputGuard, AWarningGivesTheAnswerAndMarksIt) {
  OutputFixture fixture;
  fixture.config.guard->outputs->action = GuardAction::kWarn;
  EXPECT_EQ(fixture.answer({1.5}), Guarded::kPasses);
  EXPECT_TRUE(fixture.request->unsound) << "the release hears of it";
  EXPECT_EQ(fixture.request->warnings.size(), 1U);
}

TEST(Debug, StatisticsAreThoseOfNumpy) {
  // numpy: np.mean, np.std, np.min, np.max of [1, 2, 4, 8]: 3.75, 2.680951323690902, 1, 8
  Fixture fixture;
  fixture.config.inputs[0].training = trained(100, 1);
  fixture.ask({1, 2, 4, 8});
  const auto guard = fixture.make();
  auto info = debug_info(*fixture.request, fixture.signature, guard.get());
  EXPECT_DOUBLE_EQ(info->input.mean, 3.75);
  EXPECT_DOUBLE_EQ(info->input.std, 2.680951323690902);
  EXPECT_EQ(info->input.min, 1);
  EXPECT_EQ(info->input.max, 8);
  EXPECT_EQ(info->input.nan_count, 0U);
  ASSERT_EQ(info->anomalies.size(), 2U) << "of both rows, against training";
  EXPECT_EQ(info->anomalies[0], "'age' is 1, 99.0 standard deviations from its training mean 100");
}

TEST(Debug, NanIsCountedAndLeftOutAndNothingIsNothing) {
  Fixture fixture;
  const auto nan = static_cast<float>(kNan);
  fixture.ask({nan, 2, 4, nan});
  auto info = debug_info(*fixture.request, fixture.signature, nullptr);
  EXPECT_EQ(info->input.nan_count, 2U);
  EXPECT_EQ(info->input.mean, 3);
  ASSERT_EQ(info->anomalies.size(), 1U);
  EXPECT_EQ(info->anomalies[0], "Contains NaN values: 'age', 'income'");
  fixture.ask({nan, nan});
  info = debug_info(*fixture.request, fixture.signature, nullptr);
  EXPECT_TRUE(std::isnan(info->input.mean));
}

}  // namespace
}  // namespace sluice::serving
