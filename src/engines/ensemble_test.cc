// Pipelines with real members: what their signatures say, what they refuse, whom they let in. Row
// by row and in threads they are run by conformance_test.cc.

#include "engines/ensemble.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engines/builtin.h"

namespace sluice::engines {
namespace {

const std::string kModels = std::string(SLUICE_SOURCE_DIR) + "/tests/models/";

// What a member is asked to be: not thread-safe, or failing.
class FakeModel final : public Model {
 public:
  explicit FakeModel(bool fails) : fails_(fails) {
    signature_.inputs.push_back({"x", DType::kFloat32, {-1, 2}, Role::kUnknown});
    signature_.outputs.push_back({"out", DType::kFloat32, {-1, 2}, Role::kUnknown});
  }
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    if (fails_) return fail(Code::kInternal, "engine_failed", "it had a bad day");
    auto copy = arena.array<std::byte>(inputs[0].data.size());
    std::ranges::copy(inputs[0].data, copy.begin());
    outputs[0] = inputs[0];
    outputs[0].data = copy;
    // One row too few: nobody may be given another one's answer.
    if (inputs[0].shape[0] == 3) outputs[0].shape = {2, 2};
    return {};
  }
  std::string_view platform() const override { return "fake"; }
  bool thread_safe() const override { return false; }
  std::vector<Fact> facts() const override { return {{"fake", "yes"}}; }
  std::uint64_t parameters() const override { return 7; }
  std::uint64_t bytes_elsewhere() const override { return 1000; }

 private:
  Signature signature_;
  const bool fails_;
};

// Of files that are programs, as a pickle is.
class FakeEngine final : public Engine {
 public:
  bool accepts(const ModelFile& file) const override { return file.name.ends_with(".fake"); }
  std::vector<std::string_view> extensions() const override { return {".fake"}; }
  bool runs_code() const override { return true; }
  Result<std::unique_ptr<Model>> load(const ModelFile& file, const LoadOptions&) const override {
    return std::make_unique<FakeModel>(file.name == "fails.fake");
  }
};

// A directory with this pipeline, the test models and two fake ones.
class Ensemble : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ensembleXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    for (const auto* name : {"good.fake", "fails.fake"}) std::ofstream(path_ / name) << "program";
    for (const auto* name :
         {"fixed_batch1.onnx", "fixed_batch4.onnx", "classes_order_ints.onnx", "no_zipmap.onnx",
          "softmax_only.onnx", "column_inputs.onnx", "dynamic_seq.onnx", "xgb_binary.json"}) {
      std::filesystem::copy(kModels + name, path_ / name);
    }
    Registry<Engine> registry;
    register_builtin(registry);
    auto members = registry.items();
    members.pop_back();  // the ensemble itself
    members.emplace_back("fake", std::make_shared<FakeEngine>());
    engine_ = make_ensemble(members);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  Result<std::unique_ptr<Model>> load(const std::string& yaml, bool allow_code = false,
                                      const std::string& name = "ensemble.yaml") const {
    std::ofstream(path_ / name, std::ios::binary) << yaml;
    auto directory = open_directory(path_);
    auto fd = open_beneath(*directory, name);
    ModelFile file;
    file.name = name;
    file.contents = *FileBytes::copy(*fd, "the model file");
    file.directory = std::make_shared<const Fd>(std::move(*directory));
    EXPECT_TRUE(engine_->accepts(file));
    LoadOptions options;
    options.allow_code = allow_code;
    return engine_->load(file, options);
  }

  std::string refused(const std::string& yaml) const {
    const auto model = load(yaml);
    EXPECT_FALSE(model);
    return model ? "" : model.error().message;
  }

  static std::string show(const std::vector<TensorSpec>& specs) {
    std::string out;
    for (const auto& spec : specs) {
      out += spec.name + " " + std::string(name_of(spec.dtype)) + show_shape(spec.dims) + " ";
    }
    return out;
  }

  std::filesystem::path path_;
  std::shared_ptr<const Engine> engine_;
};

constexpr auto kFake = "steps:\n- {name: odd, model: good.fake}\n- {name: best, argmax: }\n";

TEST_F(Ensemble, AMemberThatIsAProgramIsLoadedOnlyWhereThatIsAllowed) {
  const auto refused = load(kFake);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "not_allowed");
  EXPECT_TRUE(refused.error().message.starts_with(
      "ensemble.yaml:2:3: step 'odd': 'good.fake' is a program:"));
  EXPECT_TRUE(load(kFake, true));
}

TEST_F(Ensemble, IsWhatItsMembersAre) {
  const auto model = load(kFake, true);
  ASSERT_TRUE(model);
  EXPECT_FALSE((*model)->thread_safe());
  EXPECT_EQ((*model)->parameters(), 7U);
  EXPECT_EQ((*model)->bytes_elsewhere(), 1000U);
  EXPECT_EQ((*model)->platform(), "ensemble");
  EXPECT_EQ((*model)->facts()[1].value, "odd: good.fake by fake, 7 B");
}

TEST_F(Ensemble, AStepThatFailsIsNamedOnce) {
  const auto model = load("steps:\n- {name: odd, model: fails.fake}", true);
  ASSERT_TRUE(model);
  Arena arena;
  const TensorView x{DType::kFloat32, {1, 2}, std::as_bytes(arena.array<float>(2)), {}};
  TensorView out;
  const auto ran = (*model)->run({&x, 1}, {&out, 1}, arena);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message, "step 'odd': it had a bad day");
  EXPECT_EQ(ran.error().reason, "engine_failed");
}

TEST_F(Ensemble, WhatAMemberMakesIsComparedWithWhatItAnnounced) {
  const auto model = load("steps:\n- {name: odd, model: good.fake}", true);
  ASSERT_TRUE(model);
  Arena arena;
  const TensorView x{DType::kFloat32, {3, 2}, std::as_bytes(arena.array<float>(6)), {}};
  TensorView out;
  const auto ran = (*model)->run({&x, 1}, {&out, 1}, arena);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message,
            "step 'odd': it made 'out' with shape [2,2], where [N,2] was announced and there are 3 "
            "rows");
}

TEST_F(Ensemble, RunsRowByRowWhereAMemberDoes) {
  const auto model = load(
      "inputs: [{name: x, type: FP32, shape: [-1, 3]}]\n"
      "steps:\n- {name: twice, model: fixed_batch1.onnx}\n- {name: best, argmax: }\n");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(show((*model)->signature().inputs), "x FP32[1,3] ");
  EXPECT_EQ(show((*model)->signature().outputs), "best INT64[1] ");
  EXPECT_EQ(refused("inputs: [{name: x, type: FP32, shape: [-1, 3]}]\n"
                    "steps:\n- {name: four, model: fixed_batch4.onnx}\n"),
            "ensemble.yaml:3:3: step 'four': its input 'x' is FP32 [4,3], but 'x' is FP32 [N,3]");
}

TEST_F(Ensemble, TakesOverClassesAndRoles) {
  const auto model = load(
      "steps:\n- {name: m, model: no_zipmap.onnx, outputs: {probabilities: p, label: l}}\n"
      "- {name: best, argmax: , inputs: p}\noutputs: [best, p]\n");
  ASSERT_TRUE(model) << model.error().message;
  const auto& signature = (*model)->signature();
  EXPECT_EQ(signature.classes, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_TRUE(signature.class_names.empty());
  EXPECT_EQ(signature.outputs[0].role, Role::kLabel);
  // By the name that the member gives it, not by the one here.
  EXPECT_EQ(signature.outputs[1].role, Role::kProbabilities);
}

// Whichever the pipeline answers with, and whatever model.yaml chooses of them.
TEST_F(Ensemble, LabelsAndPlacesGoTogether) {
  const auto model = load(
      "steps:\n- {name: m, model: classes_order_ints.onnx}\n"
      "- {name: best, argmax: , inputs: probabilities}\noutputs: [best, label, probabilities]\n");
  const auto alone = load("steps:\n- {name: m, model: classes_order_ints.onnx}\n");
  ASSERT_TRUE(model && alone) << model.error().message;
  const auto& signature = (*model)->signature();
  EXPECT_EQ(signature.classes, (*alone)->signature().classes);
  EXPECT_EQ(signature.outputs[0].role, Role::kLabel);
  EXPECT_TRUE(signature.outputs[0].says_places);
  EXPECT_EQ(signature.outputs[1].role, Role::kLabel);
  EXPECT_FALSE(signature.outputs[1].says_places);
}

TEST_F(Ensemble, DoesNotMixTheClassesOfTwoMembers) {
  const auto model = load(
      "inputs: [x]\nsteps:\n"
      "- {name: a, model: no_zipmap.onnx, inputs: x, outputs: {label: a, probabilities: pa}}\n"
      "- {name: b, model: classes_order_ints.onnx, inputs: x, outputs: {label: b, probabilities: "
      "pb}}\noutputs: [a, pb]\n");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->signature().classes, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ((*model)->signature().outputs[0].role, Role::kLabel);
  EXPECT_EQ((*model)->signature().outputs[1].role, Role::kValue);
}

TEST_F(Ensemble, ColumnsAreThoseThatAreDeclared) {
  const auto model = load(
      "inputs: [{name: x, columns: [a, b, c]}]\n"
      "steps:\n- {name: s, select: [c, a]}\n- {name: d, standardise: {mean: [1, 2]}}\n");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->signature().columns, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(show((*model)->signature().inputs), "x FP32[N,3] ");
}

TEST_F(Ensemble, DimensionsThatNobodyKnowsAreComparedWithEachRequest) {
  const auto model = load(
      "inputs: [{name: x, type: FP32, shape: [-1, -1]}]\n"
      "steps:\n- {name: soft, model: softmax_only.onnx}\n");
  ASSERT_TRUE(model) << model.error().message;
  Arena arena;
  const TensorView x{DType::kFloat32, {1, 3}, std::as_bytes(arena.array<float>(3)), {}};
  TensorView out;
  const auto ran = (*model)->run({&x, 1}, {&out, 1}, arena);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, Code::kInvalidArgument);
  EXPECT_EQ(ran.error().message, "step 'soft': input 'x' has shape [1,3]; the model takes [N,4]");
}

TEST_F(Ensemble, SaysWhatAnInputIsMissing) {
  EXPECT_EQ(refused("steps:\n- {name: s, softmax: }\n"),
            "ensemble.yaml:1:1: the type and shape of the input 'x' are not known from the steps "
            "that read it; write inputs: [{name: x, type: FP32, shape: [-1, 4]}], or whatever it "
            "is");
  EXPECT_EQ(refused("steps:\n- {model: none.onnx, engine: onx}\n").find('/'), std::string::npos);
  EXPECT_EQ(refused("steps:\n- {name: m, model: xgb_binary.json, engine: onx}\n"),
            "ensemble.yaml:2:3: step 'm': there is no engine 'onx' for steps; this build has onnx, "
            "xgboost, sklearn and fake");
}

TEST_F(Ensemble, TellsAHandfulOfMistakes) {
  std::string text = "steps:\n";
  for (int i = 0; i < 8; ++i) text += "- {name: s" + std::to_string(i) + ", softmx: }\n";
  const auto message = refused(text);
  EXPECT_NE(message.find("ensemble.yaml:6:14: unknown key 'softmx'"), std::string::npos) << message;
  EXPECT_EQ(message.find("ensemble.yaml:7:"), std::string::npos);
  EXPECT_TRUE(message.ends_with("; and 3 more")) << message;
}

TEST_F(Ensemble, IsUnderEnsembleInAModelsConfiguration) {
  const std::string graph = "  steps:\n  - {name: soft, model: softmax_only.onnx}\n";
  EXPECT_TRUE(load("labels: [a]\nensemble:\n" + graph, false, "model.yaml"));
  const auto none = load("labels: [a]\n", false, "model.yaml");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "model.yaml has no `ensemble`");
}

}  // namespace
}  // namespace sluice::engines
