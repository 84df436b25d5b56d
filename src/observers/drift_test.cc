#include "observers/drift.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <limits>

namespace sluice::observers {
namespace {

using namespace std::chrono_literals;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class Fake final : public Servable {
 public:
  Fake(const std::string& version, Signature signature)
      : version_(*VersionName::parse(version)), signature_(std::move(signature)) {}
  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return signature_; }
  bool run(RequestPtr&) const override { return true; }
  Result<void> warm_up() const override { return {}; }
  const Model& loaded() const override { std::abort(); }
  Tally& tally() const override { return tally_; }

 private:
  const ModelName model_ = *ModelName::parse("m");
  const VersionName version_;
  const Signature signature_;
  mutable Tally tally_;
};

Signature table_of(std::vector<std::string> columns) {
  Signature out;
  out.inputs.push_back({"x", DType::kFloat32, {-1, static_cast<std::int64_t>(columns.size())}, {}});
  out.columns = std::move(columns);
  out.class_names = {"no", "yes"};
  return out;
}

std::vector<double> zero_to_one() {
  std::vector<double> out;
  for (int i = 0; i <= 40; ++i) out.push_back(i / 40.0);
  return out;
}

InputColumn trained(const std::string& name, std::vector<double> quantiles) {
  InputColumn out;
  out.name = name;
  out.training.emplace().quantiles = std::move(quantiles);
  return out;
}

// A model m with one version, and traffic of rows of floats.
struct Watching {
  explicit Watching(Signature signature) : signature(std::move(signature)) {
    config.drift.min_rows = 100;
    config.drift.window = 12s;
  }

  void publish(std::vector<std::string> versions) {
    auto entry = std::make_shared<ModelEntry>(
        ModelEntry{*ModelName::parse("m"), config, {}, {}, {}, {}, false});
    for (const auto& name : versions) {
      VersionEntry version{*VersionName::parse(name), VersionState::kReady, {}, {}, false, false};
      version.servable = std::make_shared<Fake>(name, signature);
      entry->versions.push_back(std::move(version));
    }
    auto table = std::make_shared<ServingTable>();
    if (!versions.empty()) table->models["m"] = entry;
    tables.publish(table);
  }

  Record record(std::string_view version) {
    Record out;
    out.model = "m";
    out.version = version;
    return out;
  }

  // `values` are rows × columns.
  void ask(std::string_view version, const std::vector<float>& values, double prediction = 0,
           bool classified = true) {
    Record out = record(version);
    const auto width = static_cast<std::size_t>(signature.inputs[0].dims[1]);
    const std::size_t rows = values.size() / width;
    out.inputs.push_back({DType::kFloat32,
                          {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(width)},
                          std::as_bytes(std::span(values)),
                          {}});
    const std::vector<double> predictions(rows, prediction);
    out.head.rows = rows;
    out.head.classified = classified;
    out.values = predictions;
    watch.take(out);
  }

  std::vector<DriftOfVersion> report() {
    const auto table = tables.get();
    const ModelEntry* entry = table->find("m");
    return entry == nullptr ? std::vector<DriftOfVersion>() : watch.report(*entry);
  }

  Signature signature;
  ModelConfig config;
  ServingTables tables{std::make_shared<const ServingTable>()};
  std::chrono::nanoseconds now{1s};
  DriftWatch watch{tables, [this] { return now; }};
};

// Rows of two columns: the first spread over 0 to 1, the second constant.
std::vector<float> rows_of(int count, float from = 0, float second = 0.1F) {
  std::vector<float> out;
  for (int i = 0; i < count; ++i) {
    out.push_back(from + (1 - from) * (static_cast<float>(i) + 0.5F) / static_cast<float>(count));
    out.push_back(second);
  }
  return out;
}

TEST(DriftWatch, TrainingIsTheReference) {
  Watching one(table_of({"a", "b"}));
  one.config.inputs = {trained("a", zero_to_one()), trained("b", std::vector<double>(41, 0.1))};
  one.config.output.training.emplace().classes = {0.5, 0.5};
  one.publish({"v1"});
  one.ask("v1", rows_of(99), 0);
  EXPECT_FALSE(one.report()[0].judged());
  one.ask("v1", rows_of(99), 1);
  const auto told = one.report();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].rows, 198U);
  EXPECT_EQ(told[0].reference, DriftReference::kTraining);
  ASSERT_EQ(told[0].features.size(), 2U);
  EXPECT_TRUE(told[0].judged());
  EXPECT_EQ(told[0].drifted(), 0U);
  // 0.1 of training is the float 0.1 of the traffic.
  EXPECT_NEAR(told[0].features[1].drift.psi, 0, 1e-9);
  EXPECT_EQ(told[0].prediction->drift.shares, (std::vector<double>{0.5, 0.5}));

  one.ask("v1", rows_of(2000, 0.5F, 0.2F), 1);
  const auto later = one.report();
  EXPECT_TRUE(later[0].features[0].drifted);
  EXPECT_TRUE(later[0].features[1].drifted);
  EXPECT_TRUE(later[0].prediction->drifted);
  // The window forgets.
  one.now += 13s;
  EXPECT_EQ(one.report()[0].rows, 0U);
  EXPECT_FALSE(one.report()[0].judged());
}

TEST(DriftWatch, TheFirstThousandRowsAreABaseline) {
  Watching one(table_of({"a", "b"}));
  one.publish({"v1"});
  one.ask("v1", rows_of(600));
  EXPECT_EQ(one.report()[0].reference, DriftReference::kNone);
  EXPECT_EQ(one.report()[0].baseline_rows, 600U);
  one.ask("v1", rows_of(400));
  one.ask("v1", rows_of(500));
  const auto told = one.report();
  EXPECT_EQ(told[0].reference, DriftReference::kBaseline);
  EXPECT_EQ(told[0].rows, 500U);
  EXPECT_EQ(told[0].drifted(), 0U);
  one.ask("v1", rows_of(2000, 0.8F), 1);
  EXPECT_TRUE(one.report()[0].features[0].drifted);
  EXPECT_FALSE(one.report()[0].features[1].drifted);
  EXPECT_TRUE(one.report()[0].prediction->drifted);
}

TEST(DriftWatch, GoesOnOverALoadingAndBeginsAnewWithAnotherReference) {
  Watching one(table_of({"a", "b"}));
  one.config.inputs = {trained("a", zero_to_one()), trained("b", zero_to_one())};
  one.publish({"v1"});
  one.ask("v1", rows_of(200));
  one.config.threads = 2;
  one.publish({"v1"});
  one.ask("v1", rows_of(200));
  EXPECT_EQ(one.report()[0].rows, 400U);
  one.config.inputs[0].training->quantiles.back() = 2;
  one.publish({"v1"});
  one.ask("v1", rows_of(200));
  EXPECT_EQ(one.report()[0].features[0].drift.rows, 200U);
}

TEST(DriftWatch, WhatIsGoneIsForgotten) {
  Watching one(table_of({"a", "b"}));
  one.publish({"v1", "v2"});
  one.ask("v1", rows_of(10));
  one.ask("v2", rows_of(10));
  one.ask("v3", rows_of(10));  // not in the table
  EXPECT_EQ(one.report().size(), 2U);
  one.publish({"v2"});
  one.now += 2s;
  one.watch.tick();
  one.publish({"v1", "v2"});
  ASSERT_EQ(one.report().size(), 1U);
  EXPECT_EQ(one.report()[0].version, "v2");
  one.config.drift.enabled = false;
  one.publish({"v1", "v2"});
  one.ask("v1", rows_of(10));
  one.now += 2s;
  one.watch.tick();
  EXPECT_EQ(one.report().size(), 0U);
}

TEST(DriftWatch, AtMost256Features) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("f" + std::to_string(i));
  Watching one(table_of(names));
  one.publish({"v1"});
  one.ask("v1", std::vector<float>(5000, 1.0F));
  ASSERT_EQ(one.report()[0].features.size(), DriftWatch::kMostFeatures);
  EXPECT_EQ(one.report()[0].features.back().name, "f255");
}

TEST(DriftWatch, NaNAndInfinitiesEverywhere) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const bool with_training : {true, false}) {
    for (const float odd : {kNaN, kInf, -kInf}) {
      Watching one(table_of({"a", "b"}));
      if (with_training) one.config.inputs = {trained("a", zero_to_one())};
      one.publish({"v1"});
      for (int i = 0; i < 4; ++i) {
        one.ask("v1", std::vector<float>(1000, odd), static_cast<double>(odd), i % 2 == 0);
      }
      const auto told = one.report();
      for (const auto& feature : told[0].features) {
        EXPECT_TRUE(std::isfinite(feature.drift.psi));
        // All missing is no reference.
        if (std::isnan(odd) && !with_training) {
          EXPECT_EQ(feature.reference, DriftReference::kNone);
        }
      }
    }
  }
}

TEST(DriftWatch, SeveralInputsAndWhatIsNoFeature) {
  Signature signature;
  signature.inputs.push_back({"age", DType::kInt64, {-1, 1}, {}});
  signature.inputs.push_back({"city", DType::kString, {-1, 1}, {}});
  signature.inputs.push_back({"image", DType::kFloat32, {-1, 3, 8, 8}, {}});
  signature.inputs.push_back({"score", DType::kFloat64, {-1}, {}});
  Watching one(signature);
  one.config.inputs = {trained("score", zero_to_one())};
  one.publish({"v1"});
  const std::vector<std::int64_t> ages(300, 40);
  const std::vector<std::string_view> cities(300, "Rome");
  const std::vector<double> scores(300, 0.5);
  Record record = one.record("v1");
  record.head.rows = 300;
  record.inputs = {{DType::kInt64, {300, 1}, std::as_bytes(std::span(ages)), {}},
                   {DType::kString, {300, 1}, {}, cities},
                   {DType::kFloat32, {300, 3, 8, 8}, {}, {}},
                   {DType::kFloat64, {300}, std::as_bytes(std::span(scores)), {}}};
  one.watch.take(record);
  const auto told = one.report();
  ASSERT_EQ(told[0].features.size(), 2U);
  EXPECT_EQ(told[0].features[0].name, "age");
  EXPECT_EQ(told[0].features[0].reference, DriftReference::kNone);
  EXPECT_EQ(told[0].features[1].drift.rows, 300U);
  EXPECT_TRUE(told[0].features[1].drifted);
  EXPECT_FALSE(told[0].prediction);  // it had no single value
  // What was too large to be kept is not there.
  record.head.inputs_left_out = true;
  record.inputs.clear();
  one.watch.take(record);
  EXPECT_EQ(one.report()[0].features[1].drift.rows, 300U);
}

}  // namespace
}  // namespace sluice::observers
