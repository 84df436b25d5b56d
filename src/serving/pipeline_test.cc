#include "serving/pipeline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "serving/output_plan.h"

namespace sluice::serving {
namespace {

// A servable that answers at once, or keeps the request until it is told to answer.
class FakeServable final : public Servable {
 public:
  FakeServable(std::string_view version, bool keeps)
      : version_(*VersionName::parse(version)), keeps_(keeps) {
    signature_.outputs.push_back({"y", DType::kFloat32, {-1, 1}, Role::kUnknown});
  }
  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return signature_; }
  const Model& loaded() const override { std::abort(); }
  Tally& tally() const override { return tally_; }
  Result<void> warm_up() const override { return {}; }
  bool run(RequestPtr& request) const override {
    if (keeps_) {
      kept = std::move(request);
      return false;
    }
    request->reply.answered = true;
    return true;
  }
  mutable RequestPtr kept;

 private:
  ModelName model_ = *ModelName::parse("m");
  VersionName version_;
  Signature signature_;
  mutable Tally tally_;
  bool keeps_;
};

class First final : public Policy {
 public:
  Choice choose(const RouteQuery&) const override { return {}; }
  std::size_t usual() const override { return 0; }
};

class Nobody final : public OnDemand {
 public:
  void want(std::string_view, std::string_view, TimePoint, Then then) override {
    then(unavailable("not_ready", "nothing is loaded here"));
  }
};

struct Fixture {
  explicit Fixture(bool keeps = false) {
    auto entry =
        std::make_shared<ModelEntry>(ModelEntry{*ModelName::parse("m"), {}, {}, {}, {}, {}, false});
    for (const char* name : {"v1", "v2"}) {
      auto servable = std::make_shared<FakeServable>(name, keeps);
      entry->ready.push_back(servable);
      entry->versions.push_back(
          {*VersionName::parse(name), VersionState::kReady, {}, servable, false});
    }
    entry->policy = std::make_shared<First>();
    auto table = std::make_shared<ServingTable>();
    table->models["m"] = entry;
    table->loading = false;
    tables.publish(table);
  }
  // Submits and answers what the continuation saw: the version, or the error's reason.
  std::string ask(std::string_view version, TimePoint deadline = TimePoint::max()) {
    std::string seen;
    auto request = make_request();
    request->deadline = deadline;
    request->on_done = [&](Request* done) {
      seen = done->reply.error ? std::string(done->reply.error->reason)
                               : done->servable->version().str();
      ++answers;
    };
    if (auto aimed = pipeline.aim(*request, "m", version); !aimed) {
      finish(std::move(request), aimed.error());
    } else {
      pipeline.submit(std::move(request));
    }
    return seen;
  }
  ServingTables tables{std::make_shared<const ServingTable>()};
  Observers observers;
  Nobody on_demand;
  Pipeline pipeline{tables, observers, on_demand};
  int answers = 0;
};

TEST(Pipeline, ThePolicyChoosesUnlessTheClientDoes) {
  Fixture fixture;
  EXPECT_EQ(fixture.ask(""), "v1");
  EXPECT_EQ(fixture.ask("v2"), "v2");
  EXPECT_EQ(fixture.ask("v3"), "unknown_version");
  EXPECT_EQ(fixture.answers, 3);
}

TEST(Pipeline, WhatIsNotThereIsNamed) {
  Fixture fixture;
  Request request;
  const auto model = fixture.pipeline.aim(request, "x", "");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kNotFound);
  EXPECT_NE(model.error().message.find("there is 'm'"), std::string::npos);
  const auto version = fixture.pipeline.aim(request, "m", "7");
  EXPECT_NE(version.error().message.find("it has 'v1' and 'v2'"), std::string::npos);
  EXPECT_EQ(fixture.pipeline.aim(request, "", "").error().reason, "unknown_model");
}

TEST(Pipeline, AnExpiredRequestNeverRuns) {
  Fixture fixture;
  EXPECT_EQ(fixture.ask("v1", std::chrono::steady_clock::now()), "deadline");
}

TEST(Pipeline, ADroppedRequestIsAnsweredOnce) {
  Fixture fixture(true);
  std::string seen;
  int answers = 0;
  auto request = make_request();
  request->on_done = [&](Request* done) {
    seen = done->reply.error ? done->reply.error->reason : "ok";
    ++answers;
  };
  ASSERT_TRUE(fixture.pipeline.aim(*request, "m", "v1"));
  fixture.pipeline.submit(std::move(request));
  EXPECT_EQ(answers, 0);
  const auto table = fixture.tables.get();
  static_cast<const FakeServable&>(*table->find("m")->ready[0]).kept.reset();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(seen, "dropped");
}

TEST(OutputPlan, MistakesInModelYamlAreNamed) {
  Signature signature;
  signature.outputs.push_back({"probs", DType::kFloat32, {-1, 3}, Role::kUnknown});
  ModelConfig config;
  config.output.prediction = "label";
  EXPECT_NE(make_output_plan(signature, config).error().message.find("outputs are 'probs'"),
            std::string::npos);
  config.output.prediction.clear();
  config.labels = {"a", "b"};
  EXPECT_NE(make_output_plan(signature, config).error().message.find("has 3 classes"),
            std::string::npos);
}

Prediction predicted(const TensorSpec& spec, std::span<const float> values, std::size_t rows,
                     const ModelConfig& config, Arena& arena) {
  Signature signature;
  signature.outputs.push_back(spec);
  // Labels are views on the plan's names, as on a servable's that is leased.
  static std::deque<OutputPlan> plans;
  const auto& plan = plans.emplace_back(*make_output_plan(signature, config));
  TensorView tensor;
  tensor.shape.push(static_cast<std::int64_t>(rows));
  if (spec.dims.size() > 1) tensor.shape.push(static_cast<std::int64_t>(values.size() / rows));
  tensor.data = std::as_bytes(values);
  return *interpret(plan, {&tensor, 1}, rows, arena);
}

TEST(OutputPlan, ClassesConfidencesAndLabels) {
  Arena arena;
  ModelConfig config;
  config.labels = {"no", "yes"};
  const float binary[] = {0.2F, 0.9F};
  auto out =
      predicted({"p", DType::kFloat32, {-1, 1}, Role::kProbabilities}, binary, 2, config, arena);
  EXPECT_EQ(out.values[0], 0);
  EXPECT_FLOAT_EQ(static_cast<float>(out.confidences[0]), 0.8F);
  EXPECT_EQ(out.labels[1], "yes");
  const float logits[] = {0, 1};
  out = predicted({"logits", DType::kFloat32, {-1, 2}, Role::kUnknown}, logits, 1, config, arena);
  EXPECT_EQ(out.values[0], 1);
  EXPECT_NEAR(out.confidences[0], 0.7310586, 1e-6);
}

// Of classes that are called by numbers above 2^53, which doubles confuse.
TEST(OutputPlan, LargeIntegersAreTheirOwnClasses) {
  constexpr std::int64_t kFirst = std::int64_t{1} << 60;
  Signature signature;
  signature.outputs.push_back({"label", DType::kInt64, {-1}, Role::kLabel});
  signature.classes = {std::to_string(kFirst), std::to_string(kFirst + 1)};
  signature.classes_are_names = true;
  const auto plan = *make_output_plan(signature, {});
  const std::int64_t labels[] = {kFirst + 1, kFirst};
  const TensorView tensor{DType::kInt64, {2}, std::as_bytes(std::span(labels)), {}};
  Arena arena;
  const auto out = *interpret(plan, {&tensor, 1}, 2, arena);
  EXPECT_EQ(out.values[0], 1);
  EXPECT_EQ(out.values[1], 0);
  EXPECT_EQ(out.labels[0], signature.classes[1]);
}

// As of a pipeline with an argmax beside what its member says.
TEST(OutputPlan, ALabelIsAPlaceOrWhatAClassIsCalled) {
  Signature signature;
  signature.outputs.push_back({"best", DType::kInt64, {-1}, Role::kLabel, true});
  signature.outputs.push_back({"label", DType::kInt64, {-1}, Role::kLabel});
  signature.classes = {"1", "0", "2"};
  signature.classes_are_names = true;
  const std::int64_t labels[] = {1, 0, 2};
  const TensorView tensor{DType::kInt64, {3}, std::as_bytes(std::span(labels)), {}};
  const TensorView outputs[] = {tensor, tensor};
  Arena arena;
  ModelConfig config;
  const auto places = *interpret(*make_output_plan(signature, config), outputs, 3, arena);
  EXPECT_EQ(places.values[0], 1);
  EXPECT_EQ(places.labels[0], "0");
  config.output.prediction = "label";
  const auto called = *interpret(*make_output_plan(signature, config), outputs, 3, arena);
  EXPECT_EQ(called.values[0], 0);
  EXPECT_EQ(called.labels[0], "1");
  config.labels = {"a", "b", "c"};
  EXPECT_EQ((*interpret(*make_output_plan(signature, config), outputs, 3, arena)).labels[0], "a");
}

// As of a threshold of what are no probabilities.
TEST(OutputPlan, PlacesWithoutClassesAreCalledAsModelYamlSays) {
  Signature signature;
  signature.outputs.push_back({"over", DType::kInt64, {-1}, Role::kUnknown, true});
  const std::int64_t values[] = {1, 0};
  const TensorView tensor{DType::kInt64, {2}, std::as_bytes(std::span(values)), {}};
  Arena arena;
  ModelConfig config;
  EXPECT_FALSE(
      (*interpret(*make_output_plan(signature, config), {&tensor, 1}, 2, arena)).classified);
  config.labels = {"no", "yes"};
  const auto named = *interpret(*make_output_plan(signature, config), {&tensor, 1}, 2, arena);
  ASSERT_EQ(named.labels.size(), 2U);
  EXPECT_EQ(named.labels[0], "yes");
  signature.classes = {"0", "1", "2"};
  EXPECT_FALSE(make_output_plan(signature, config)->value_is_label) << "these are another output's";
}

TEST(OutputPlan, ThereIsALabelForEachClassOfTheModel) {
  Signature signature;
  signature.outputs.push_back({"best", DType::kInt64, {-1}, Role::kLabel, true});
  signature.classes = {"0", "1", "2"};
  ModelConfig config;
  config.labels = {"a", "b"};
  const auto refused = make_output_plan(signature, config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "model.yaml has 2 labels, but the model has 3 classes");
  // As of one classifier of the two that the model is made of.
  config.labels = {"a", "b", "c", "d"};
  EXPECT_TRUE(make_output_plan(signature, config));
}

TEST(OutputPlan, ValuesVectorsAndWhatIsNotFinite) {
  Arena arena;
  const float values[] = {1, 2, 3, NAN};
  auto out = predicted({"y", DType::kFloat32, {-1, 1}, Role::kUnknown}, values, 4, {}, arena);
  EXPECT_EQ(out.row_shape.rank(), 0U);
  EXPECT_EQ(out.confidences[0], 1.0);
  EXPECT_TRUE(out.not_finite);
  out = predicted({"y", DType::kFloat32, {-1, 2}, Role::kUnknown}, values, 2, {}, arena);
  EXPECT_EQ(out.row_shape.rank(), 1U);
  EXPECT_EQ(out.width(), 2U);
}

// As of a network that reads texts: probabilities for each place, and no single class of them all.
TEST(OutputPlan, ListsInARowAreValuesWhateverTheyMean) {
  const auto plan_of = [](std::vector<std::int64_t> dims) {
    Signature signature;
    signature.outputs.push_back({"p", DType::kFloat32, std::move(dims), Role::kProbabilities});
    return *make_output_plan(signature, {});
  };
  EXPECT_EQ(plan_of({-1, -1, 6625}).probabilities, Signature::npos);
  EXPECT_EQ(plan_of({-1, -1, 6625}).value, 0U);
  EXPECT_EQ(plan_of({-1, 3, 8, 8}).probabilities, Signature::npos);
  EXPECT_EQ(plan_of({-1, 10}).probabilities, 0U);
  EXPECT_EQ(plan_of({-1, 10, 1, 1}).probabilities, 0U) << "one list all the same";
}

}  // namespace
}  // namespace sluice::serving
