// The methods on the models of examples/: how often they still say what the original says, which
// examples/golden has.

#include <nlohmann/json.hpp>

#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using namespace small;
using nlohmann::json;

const std::string kExamples = std::string(SLUICE_SOURCE_DIR) + "/examples/";

struct Example {
  std::string model;   // beneath examples/models
  std::string golden;  // beneath examples/golden
};

const Example kDigits{"digits/1/model.onnx", "digits.1.jsonl"};
const Example kCancer{"breast_cancer/v1/model.onnx", "breast_cancer.v1.jsonl"};
const Example kCancerTrees{"breast_cancer/v2/model.json", "breast_cancer.v2.jsonl"};

std::size_t class_of(std::span<const float> scores) {
  if (scores.size() == 1) return scores[0] >= 0.5F ? 1 : 0;
  return static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin());
}

// The share of golden rows for which `file` chooses the class that is written there.
double agreement(const std::filesystem::path& file, const Example& example) {
  const auto model = TestLab().load(file);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return 0;
  std::ifstream golden(kExamples + "golden/" + example.golden);
  std::string line;
  double rows = 0;
  double same = 0;
  while (std::getline(golden, line)) {
    const auto row = json::parse(line);
    const auto features = row["features"].get<std::vector<float>>();
    TensorView input;
    input.shape.push(1);
    const auto& dims = (*model)->signature().inputs[0].dims;
    for (std::size_t i = 1; i < dims.size(); ++i) input.shape.push(dims[i]);
    input.data = std::as_bytes(std::span(features));
    std::vector<TensorView> outputs((*model)->signature().outputs.size());
    Arena arena;
    const auto ran = (*model)->run({&input, 1}, outputs, arena);
    EXPECT_TRUE(ran) << ran.error().message;
    if (!ran) return 0;
    same += class_of(outputs[0].as<float>()) == row["prediction"].get<std::size_t>() ? 1 : 0;
    ++rows;
  }
  EXPECT_GT(rows, 10);
  return same / rows;
}

// The first half of the golden rows, without their answers.
Dataset rows_of(const Example& example) {
  const auto model = TestLab().load(kExamples + "models/" + example.model);
  std::ifstream golden(kExamples + "golden/" + example.golden);
  std::string line;
  std::vector<float> flat;
  std::size_t rows = 0;
  for (; rows < 60 && std::getline(golden, line); ++rows) {
    const auto features = json::parse(line)["features"].get<std::vector<float>>();
    flat.insert(flat.end(), features.begin(), features.end());
  }
  TensorView input;
  input.shape.push(static_cast<std::int64_t>(rows));
  const auto& dims = (*model)->signature().inputs[0].dims;
  for (std::size_t i = 1; i < dims.size(); ++i) input.shape.push(dims[i]);
  input.data = std::as_bytes(std::span(flat));
  Dataset out;
  out.add({&input, 1}, rows);
  return out;
}

double agreement_after(std::string_view method, const Example& example,
                       const std::vector<std::pair<std::string, std::string>>& settings) {
  const Folder folder;
  const auto rows = rows_of(example);
  const auto made =
      make(method, kExamples + "models/" + example.model, folder, settings, false, &rows);
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return 0;
  const double out = agreement(made->file, example);
  ::testing::Test::RecordProperty(std::string(method) + " of " + example.model,
                                  std::to_string(out));
  return out;
}

TEST(CompressExamples, TheOriginalsAgreeWithThemselves) {
  for (const auto& example : {kDigits, kCancer, kCancerTrees}) {
    EXPECT_EQ(agreement(kExamples + "models/" + example.model, example), 1) << example.model;
  }
}

TEST(CompressExamples, HalvesChangeNoAnswer) {
  for (const auto& example : {kDigits, kCancer}) {
    EXPECT_EQ(agreement_after("fp16", example, {}), 1) << example.model;
    EXPECT_EQ(agreement_after("fp16", example, {{"mode", "graph"}}), 1) << example.model;
  }
}

TEST(CompressExamples, ThirtyPercentOfTheWeightsAreNotMissed) {
  for (const auto& example : {kDigits, kCancer}) {
    EXPECT_GE(agreement_after("prune", example, {}), 0.99) << example.model;
    EXPECT_GE(agreement_after("prune", example, {{"scope", "layer"}}), 0.99) << example.model;
  }
}

TEST(CompressExamples, ATenthOfTheChannelsIsNotMissed) {
  for (const auto& example : {kDigits, kCancer}) {
    EXPECT_GE(agreement_after("prune", example, {{"structure", "channels"}, {"sparsity", "0.1"}}),
              0.95)
        << example.model;
  }
}

TEST(CompressExamples, AThirdOfTheSplitsIsNotMissed) {
  EXPECT_GE(agreement_after("prune-trees", kCancerTrees, {}), 0.99);
}

}  // namespace
}  // namespace sluice::tools::compress
