// Students of the models of examples/ and of small graphs: how often they agree with their teacher
// on rows that they never saw, and that they have its inputs and outputs.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/compress/mixed_rows.h"
#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using namespace small;
using nlohmann::json;

const std::string kSource = std::string(SLUICE_SOURCE_DIR) + "/";
using Given = std::vector<std::pair<std::string, std::string>>;

Dataset dataset_of(const Signature& signature, std::span<const float> values, std::size_t rows) {
  TensorView input;
  input.shape.push(static_cast<std::int64_t>(rows));
  for (const auto dim : signature.inputs[0].row_dims()) input.shape.push(dim);
  input.data = std::as_bytes(values);
  Dataset out;
  out.add({&input, 1}, rows);
  return out;
}

// Golden rows: the first `taught` are for the student, the others to judge it by.
struct Example {
  std::string file;
  std::size_t columns = 0;
  std::vector<float> taught;
  std::vector<float> judged;
  std::unique_ptr<Model> teacher;

  Example(const std::string& model, const std::string& golden, std::size_t taught_rows = 80)
      : file(kSource + "examples/models/" + model), teacher(*TestLab().load(file)) {
    std::ifstream lines(kSource + "examples/golden/" + golden);
    std::string line;
    for (std::size_t row = 0; std::getline(lines, line); ++row) {
      const auto features = json::parse(line)["features"].get<std::vector<float>>();
      auto& into = row < taught_rows ? taught : judged;
      into.insert(into.end(), features.begin(), features.end());
      columns = features.size();
    }
  }
  Dataset rows() const { return dataset_of(teacher->signature(), taught, taught.size() / columns); }
};

// Every output of all rows, as numbers.
std::vector<std::vector<float>> outputs_of(const Model& model, std::span<const float> values,
                                           std::size_t columns) {
  TensorView input;
  input.shape.push(static_cast<std::int64_t>(values.size() / columns));
  for (const auto dim : model.signature().inputs[0].row_dims()) input.shape.push(dim);
  input.data = std::as_bytes(values);
  std::vector<TensorView> outputs(model.signature().outputs.size());
  Arena arena;
  const auto ran = model.run({&input, 1}, outputs, arena);
  EXPECT_TRUE(ran) << ran.error().message;
  std::vector<std::vector<float>> out(outputs.size());
  for (std::size_t i = 0; ran && i < outputs.size(); ++i) {
    if (outputs[i].dtype == DType::kString) continue;
    for (std::size_t k = 0; k < outputs[i].elements(); ++k) {
      out[i].push_back(static_cast<float>(number_at(outputs[i], k)));
    }
  }
  return out;
}

std::size_t chosen(std::span<const float> scores) {
  if (scores.size() == 1) return scores[0] > 0.5F ? 1 : 0;
  return static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin());
}

double agreement(const std::vector<float>& a, const std::vector<float>& b, std::size_t rows) {
  std::size_t same = 0;
  const std::size_t wide_a = a.size() / rows;
  const std::size_t wide_b = b.size() / rows;
  for (std::size_t row = 0; row < rows; ++row) {
    same += chosen({a.data() + row * wide_a, wide_a}) == chosen({b.data() + row * wide_b, wide_b});
  }
  return static_cast<double>(same) / static_cast<double>(rows);
}

struct Student {
  std::unique_ptr<Model> model;
  Made made;
};

Student teach(const Example& example, const Given& given, const Folder& folder) {
  const auto rows = example.rows();
  auto made = make("distill", example.file, folder, given, false, &rows);
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return {};
  auto model = TestLab().load(made->file);
  EXPECT_TRUE(model) << model.error().message;
  return {std::move(*model), std::move(*made)};
}

void expect_same_signature(const Signature& a, const Signature& b) {
  ASSERT_EQ(a.inputs.size(), b.inputs.size());
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  EXPECT_EQ(a.inputs[0].name, b.inputs[0].name);
  EXPECT_EQ(a.inputs[0].dtype, b.inputs[0].dtype);
  EXPECT_EQ(a.inputs[0].dims, b.inputs[0].dims);
  EXPECT_EQ(a.classes, b.classes);
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    EXPECT_EQ(a.outputs[i].name, b.outputs[i].name);
    EXPECT_EQ(a.outputs[i].dtype, b.outputs[i].dtype);
    EXPECT_EQ(a.outputs[i].dims, b.outputs[i].dims);
  }
}

TEST(Distill, ANetworkHasItsTeachersInputsAndOutputs) {
  for (const Example& example : {Example("breast_cancer/v1/model.onnx", "breast_cancer.v1.jsonl"),
                                 Example("breast_cancer/v2/model.json", "breast_cancer.v2.jsonl"),
                                 Example("digits/1/model.onnx", "digits.1.jsonl"),
                                 Example("diabetes/1/model.onnx", "diabetes.1.jsonl"),
                                 Example("iris/1/model.onnx", "iris.1.jsonl")}) {
    SCOPED_TRACE(example.file);
    const Folder folder;
    const auto student =
        teach(example, {{"student", "mlp"}, {"rows", "200"}, {"epochs", "1"}}, folder);
    ASSERT_TRUE(student.model);
    expect_same_signature(student.model->signature(), example.teacher->signature());
  }
}

// Of the class that output `output` chooses, on rows that no student saw.
void expect_agreement(const Example& example, const Given& given, double least,
                      std::size_t output = 0) {
  SCOPED_TRACE(example.file);
  const Folder folder;
  const auto student = teach(example, given, folder);
  ASSERT_TRUE(student.model);
  const auto rows = example.judged.size() / example.columns;
  const auto before = outputs_of(*example.teacher, example.judged, example.columns);
  const auto after = outputs_of(*student.model, example.judged, example.columns);
  const auto place = std::min(output, after.size() - 1);
  const double found = agreement(before[output], after[place], rows);
  ::testing::Test::RecordProperty("agreement", std::to_string(found));
  if (std::getenv("SLUICE_TEST_SHOW") != nullptr) {
    std::printf("%s %s: %.4f, bytes %zu of %zu, %s\n", example.file.c_str(),
                given.empty() ? "" : given[0].second.c_str(), found,
                std::filesystem::file_size(student.made.file),
                std::filesystem::file_size(example.file), student.made.details.dump().c_str());
    for (const auto& note : student.made.notes) std::printf("  %s\n", note.c_str());
  }
  EXPECT_GE(found, least);
}

TEST(Distill, NetworksAgreeWithTheirTeachers) {
  const Given mlp = {{"student", "mlp"}};
  expect_agreement({"breast_cancer/v1/model.onnx", "breast_cancer.v1.jsonl"}, mlp, 0.97);
  expect_agreement({"breast_cancer/v2/model.json", "breast_cancer.v2.jsonl"}, mlp, 0.95);
  expect_agreement({"wine/1/model.json", "wine.1.jsonl"}, mlp, 0.97);
  expect_agreement({"digits/1/model.onnx", "digits.1.jsonl"}, mlp, 0.97);
}

TEST(Distill, TreesAgreeWithTheirTeachers) {
  const Given trees = {{"student", "trees"}};
  expect_agreement({"breast_cancer/v2/model.json", "breast_cancer.v2.jsonl"}, trees, 0.97);
  expect_agreement({"breast_cancer/v1/model.onnx", "breast_cancer.v1.jsonl"}, trees, 0.85);
  expect_agreement({"wine/1/model.json", "wine.1.jsonl"}, trees, 0.97);
  expect_agreement({"iris/1/model.onnx", "iris.1.jsonl"}, trees, 0.95, 1);
}

}  // namespace
}  // namespace sluice::tools::compress
