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
  const Given mlp = {{"student", "mlp"}, {"rows", "8000"}};
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

// ---- what else teachers are like ---------------------------------------------------------------

std::string test_model(const std::string& name) { return kSource + "tests/models/" + name; }

Result<Made> distilled(const std::string& file, const Folder& folder, Given given,
                       std::span<const float> values = {}, std::size_t rows = 0,
                       bool stopped = false) {
  given.insert(given.end(), {{"rows", "3000"}, {"epochs", "30"}});
  if (rows == 0) return make("distill", file, folder, given, stopped);
  const auto teacher = TestLab().load(file);
  EXPECT_TRUE(teacher) << teacher.error().message;
  if (!teacher) return Failure(teacher.error());
  const auto dataset = dataset_of((*teacher)->signature(), values, rows);
  return make("distill", file, folder, given, stopped, &dataset);
}

// Labels that are names or other numbers, and maps of probabilities.
TEST(Distill, ClassesKeepTheirNamesAndTheirOrder) {
  for (const auto* name :
       {"classes_order_strings.onnx", "classes_order_ints.onnx", "no_zipmap.onnx"}) {
    SCOPED_TRACE(name);
    const Folder folder;
    const auto values = random_floats(3 * 300, 8, 3);
    const auto made = distilled(test_model(name), folder, {}, values, 300);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE(made->notes.empty() || made->notes[0].contains("no smaller")) << made->notes[0];
    const auto teacher = *TestLab().load(test_model(name));
    const auto student = TestLab().load(made->file);
    ASSERT_TRUE(student) << student.error().message;
    expect_same_signature((*student)->signature(), teacher->signature());
    const auto unseen = random_floats(3 * 100, 9, 3);
    const auto before = outputs_of(*teacher, unseen, 3);
    const auto after = outputs_of(**student, unseen, 3);
    EXPECT_GE(agreement(before[1], after[1], 100), 0.97);
    std::size_t same = 0;  // of the label itself, where it is a number
    for (std::size_t i = 0; i < before[0].size(); ++i) same += before[0][i] == after[0][i] ? 1 : 0;
    EXPECT_GE(same, before[0].size() * 97 / 100);
  }
}

// An ArgMax says where the class stands in the list, which is no class of that number.
TEST(Distill, PlacesOfClassesStayPlaces) {
  const Folder folder;
  Builder builder;
  auto& ml = *builder.model().add_opset_import();
  ml.set_domain("ai.onnx.ml");
  ml.set_version(3);
  builder.input("x", {-1, 3});
  auto& classifier = builder.node("LinearClassifier", {"x"}, "label");
  classifier.set_domain("ai.onnx.ml");
  classifier.add_output("scores");
  const float each_its_own[] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  const auto floats = [&](const char* name, std::span<const float> values) {
    auto& attribute = *classifier.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::FLOATS);
    for (const float value : values) attribute.add_floats(value);
  };
  floats("coefficients", each_its_own);
  floats("intercepts", std::array<float, 3>{});
  const std::int64_t classes[] = {1, 2, 0};
  set_attribute(classifier, "classlabels_ints", std::span(classes));
  auto& best = builder.node("ArgMax", {"scores"}, "best");
  set_attribute(best, "axis", std::int64_t{1});
  set_attribute(best, "keepdims", std::int64_t{0});
  builder.output("best", {-1});
  builder.graph().mutable_output(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::INT64);
  const auto file = builder.save(folder.path());
  const auto teacher = TestLab().load(file);
  ASSERT_TRUE(teacher) << teacher.error().message;
  EXPECT_TRUE((*teacher)->signature().outputs[0].says_places);
  EXPECT_EQ((*teacher)->signature().classes, (std::vector<std::string>{"1", "2", "0"}));
  const auto made =
      distilled(file, folder, {{"student", "mlp"}}, random_floats(3 * 300, 8, 3), 300);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GE(made->details["agreement"], 0.95);
  const auto student = TestLab().load(made->file);
  ASSERT_TRUE(student) << student.error().message;
  expect_same_signature((*student)->signature(), (*teacher)->signature());
  EXPECT_TRUE((*student)->signature().outputs[0].says_places);
  const float rows[] = {9, 0, 0, 0, 9, 0, 0, 0, 9};
  EXPECT_EQ(outputs_of(**student, rows, 3)[0], (std::vector<float>{0, 1, 2}));
}

TEST(Distill, LabelsAloneAndSeveralNumbersAreTaughtToo) {
  const Folder folder;
  const auto file = test_model("xgb_multi_softmax.json");
  const auto teacher = *TestLab().load(file);
  const auto columns = static_cast<std::size_t>(teacher->signature().inputs[0].dims[1]);
  const auto values = random_floats(columns * 400, 8, 2);
  const auto made = distilled(file, folder, {{"student", "mlp"}}, values, 400);
  ASSERT_TRUE(made) << made.error().message;
  expect_same_signature((*TestLab().load(made->file))->signature(), teacher->signature());
  EXPECT_GE(made->details["agreement"], 0.8);

  const Folder other;
  const auto numbers = random_floats(2 * 400, 8, 2);
  const auto several =
      distilled(test_model("multi_output_regression.onnx"), other, {}, numbers, 400);
  ASSERT_TRUE(several) << several.error().message;
  EXPECT_GE(several->details["r2"], 0.99);
  expect_close(answers(several->file, {1, 2}, {1, 1.5F}), {1, 1.5F, 12.5F}, 0.1F);
  EXPECT_EQ(distilled(test_model("multi_output_regression.onnx"), other, {{"student", "trees"}},
                      numbers, 400)
                .error()
                .reason,
            "not_compressible");
}

TEST(Distill, AMissingValueIsTheColumnsMeanWhereRowsHaveAny) {
  const Folder folder;
  Builder builder;  // ignores what is missing, as trees do
  builder.input("x", {-1, 2});
  builder.weight("zero", {2}, {0, 0});
  builder.node("IsNaN", {"x"}, "missing");
  builder.node("Where", {"missing", "zero", "x"}, "filled");
  builder.gemm("filled", "y", 2, 1, 5);
  builder.output("y", {-1, 1});
  const auto file = builder.save(folder.path());
  auto values = random_floats(2 * 300, 8);
  for (std::size_t i = 0; i < values.size(); i += 9) values[i] = std::nanf("");
  const auto made = distilled(file, folder, {}, values, 300);
  ASSERT_TRUE(made) << made.error().message;
  const auto found = answers(made->file, {1, 2}, {std::nanf(""), 0.5F});
  EXPECT_NEAR(found[0], answers(file, {1, 2}, {0, 0.5F})[0], 0.1);
}

TEST(Distill, TheSameSeedGivesTheSameFile) {
  const Example example("breast_cancer/v1/model.onnx", "breast_cancer.v1.jsonl");
  for (const auto* student : {"mlp", "trees"}) {
    const Given given = {{"student", student}, {"rows", "500"}, {"epochs", "3"}};
    const auto bytes = [&] {
      const Folder folder;
      const auto made = teach(example, given, folder).made;
      std::ifstream file(made.file, std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(file), {});
    };
    const auto first = bytes();
    EXPECT_FALSE(first.empty());
    EXPECT_EQ(first, bytes());
  }
}

TEST(Distill, LearnsFromAsManyRowsAsItIsTold) {
  const auto values = random_floats(3 * 1000, 8, 3);
  for (const auto* rows : {"100", "500", "2000"}) {
    const Folder folder;
    const Given given = {{"rows", rows}, {"epochs", "1"}};
    const auto dataset =
        dataset_of((*TestLab().load(test_model("no_zipmap.onnx")))->signature(), values, 1000);
    const auto made = make("distill", test_model("no_zipmap.onnx"), folder, given, false, &dataset);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->details["given_rows"], 1000);
    EXPECT_EQ(made->details["held_out_rows"], 100);
    EXPECT_EQ(made->details["taught_rows"], std::stoi(rows));
  }
}

TEST(Distill, MakesUpRowsWhereNoneAreGivenAndSaysSo) {
  const Folder folder;
  const auto made = distilled(kSource + "examples/models/iris/1/model.onnx", folder, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(std::ranges::any_of(
      made->notes, [](const std::string& note) { return note.contains("made-up"); }));
  EXPECT_GE(made->details["agreement"], 0.9);
}

TEST(Distill, SaysWhyAModelIsNotForIt) {
  const Folder folder;
  const auto reason = [&](const std::string& file, const Given& given) {
    const auto made = distilled(file, folder, given);
    return std::string(made ? "made" : made.error().reason);
  };
  EXPECT_EQ(reason(test_model("two_inputs.onnx"), {}), "not_compressible");
  EXPECT_EQ(reason(test_model("identity_string.onnx"), {}), "not_compressible");
  EXPECT_EQ(reason(test_model("fixed_batch1.onnx"), {}), "not_compressible");
  EXPECT_EQ(reason(kSource + "examples/models/digits/1/model.onnx", {{"student", "trees"}}),
            "not_compressible");
  EXPECT_EQ(reason(test_model("truncated.onnx"), {}), "bad_model");
  EXPECT_EQ(reason(test_model("no_zipmap.onnx"), {{"student", "forest"}}), "bad_settings");
  EXPECT_EQ(reason(test_model("no_zipmap.onnx"), {{"temperature", "0"}}), "bad_settings");
  const std::vector<float> nothing(3 * 5);
  EXPECT_EQ(distilled(test_model("no_zipmap.onnx"), folder, {}, nothing, 5).error().reason,
            "no_calibration");
  const std::vector<float> negative(100, -1);  // whose logarithm is NaN
  EXPECT_EQ(distilled(test_model("nan_output.onnx"), folder, {}, negative, 100).error().reason,
            "not_compressible");
  EXPECT_EQ(distilled(test_model("no_zipmap.onnx"), folder, {}, {}, 0, true).error().code,
            Code::kCancelled);
}

// ---- mixed rows --------------------------------------------------------------------------------

TEST(MixedRows, StayWithinWhatWasGiven) {
  TeachingRows real{3, {}};
  const auto values = random_floats(200, 3, 10);
  for (std::size_t i = 0; i < 200; ++i) {
    const float row[] = {values[i], static_cast<float>(i % 4), i % 5 == 0 ? std::nanf("") : 1.5F};
    real.add(row);
  }
  const auto mixed = mixed_rows(real, 1000, 6);
  ASSERT_EQ(mixed.count(), 1000U);
  const auto again = mixed_rows(real, 1000, 6);
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(again.values)),
                                 std::as_bytes(std::span(mixed.values))));
  const auto [low, high] = std::ranges::minmax(values);
  std::size_t moved = 0;
  std::size_t missing = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    const auto row = mixed.row(i);
    ASSERT_GE(row[0], low);
    ASSERT_LE(row[0], high);
    ASSERT_TRUE(row[1] == 0 || row[1] == 1 || row[1] == 2 || row[1] == 3) << row[1];
    moved += std::ranges::find(values, row[0]) == values.end() ? 1 : 0;
    missing += std::isnan(row[2]) ? 1 : 0;
  }
  EXPECT_GT(moved, 100U);
  EXPECT_GT(missing, 50U);
  EXPECT_LT(missing, 500U);
  EXPECT_EQ(mixed_rows({3, {}}, 10, 1).count(), 0U);
}

}  // namespace
}  // namespace sluice::tools::compress
