// A network as ONNX Runtime runs it, beside the same network as it is run here.

#include "tools/compress/mlp_onnx.h"

#include <algorithm>
#include <cmath>

#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using namespace small;

constexpr std::size_t kColumns = 6;

// [N,6] or [N,2,3] to three outputs, through `last` if it is not empty.
void save_teacher(const Folder& folder, const std::vector<std::int64_t>& dims,
                  const std::string& last, std::int64_t outputs) {
  Builder builder;
  builder.input("x", dims);
  set_attribute(builder.node("Flatten", {"x"}, "flat"), "axis", std::int64_t{1});
  builder.gemm("flat", last.empty() ? "y" : "scores", kColumns, outputs, 3);
  if (!last.empty()) builder.node(last, {"scores"}, "y");
  builder.output("y", {-1, outputs});
  builder.save(folder.path());
}

Result<Teacher> teacher_in(const Folder& folder, const TestLab& lab) {
  static const Node kNone = settings_of({});
  static const std::atomic<bool> kRunning = false;
  const Task task{
      folder.path() / "model.onnx",   folder.path() / "out", kNone, nullptr, lab, kRunning,
      [](std::string_view, double) {}};
  SLUICE_TRY(auto teacher, Teacher::load(task));
  TeachingRows rows{teacher.columns(), random_floats(teacher.columns() * 50, 4)};
  SLUICE_CHECK(teacher.ask(std::move(rows), kRunning, [](double) {}));
  return teacher;
}

TrainedMlp network(std::size_t outputs, bool centred, bool any_missing) {
  TrainedMlp out;
  const std::size_t widths[] = {kColumns, 9, 5, outputs};
  out.mlp = make_mlp(widths, 11);
  for (auto& layer : out.mlp.layers) layer.bias = random_floats(layer.to, 12);
  out.means = random_floats(kColumns, 13);
  out.centred = centred;
  out.any_missing = any_missing;
  return out;
}

std::vector<float> forward(const TrainedMlp& trained, std::vector<float> values) {
  std::vector<float> out;
  MlpPass pass(trained.mlp);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float mean = trained.means[i % kColumns];
    if (trained.any_missing && std::isnan(values[i])) values[i] = mean;
    if (trained.centred) values[i] -= mean;
  }
  for (std::size_t at = 0; at < values.size(); at += kColumns) {
    const auto scores = pass.forward(trained.mlp, {values.data() + at, kColumns});
    out.insert(out.end(), scores.begin(), scores.end());
  }
  return out;
}

void apply(std::string_view last, std::vector<float>& scores, std::size_t width) {
  for (std::size_t at = 0; at < scores.size() && !last.empty(); at += width) {
    double sum = 0;
    for (std::size_t i = at; i < at + width; ++i) sum += std::exp(scores[i]);
    for (std::size_t i = at; i < at + width; ++i) {
      scores[i] = static_cast<float>(last == "Sigmoid" ? 1 / (1 + std::exp(-scores[i]))
                                                       : std::exp(scores[i]) / sum);
    }
  }
}

void expect_as_here(const std::vector<std::int64_t>& dims, const std::string& last,
                    std::int64_t outputs, bool centred, bool any_missing) {
  SCOPED_TRACE(last + (centred ? ", centred" : "") + (any_missing ? ", with NaN" : ""));
  const Folder folder;
  const TestLab lab;
  save_teacher(folder, dims, last, outputs);
  const auto teacher = teacher_in(folder, lab);
  ASSERT_TRUE(teacher) << teacher.error().message;
  const auto trained = network(static_cast<std::size_t>(outputs), centred, any_missing);
  const auto written = write_mlp(trained, *teacher, nullptr);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(written->left_out.empty());
  const auto file = folder.path() / "out" / "model.onnx";
  ASSERT_TRUE(written->graph.save(file));
  auto values = random_floats(kColumns * 20, 14);
  if (any_missing) values[7] = values[30] = std::nanf("");
  auto want = forward(trained, values);
  apply(last, want, static_cast<std::size_t>(outputs));
  auto shape = dims;
  shape[0] = 20;
  expect_close(answers(file, shape, values), want, 1e-5F);
}

TEST(MlpOnnx, AnswersAsTheNetworkDoes) {
  for (const bool centred : {false, true}) {
    for (const bool any_missing : {false, true}) {
      expect_as_here({-1, 6}, "Softmax", 3, centred, any_missing);
      expect_as_here({-1, 6}, "Sigmoid", 1, centred, any_missing);
      expect_as_here({-1, 6}, "", 2, centred, any_missing);
      expect_as_here({-1, 2, 3}, "Softmax", 4, centred, any_missing);
    }
  }
}

}  // namespace
}  // namespace sluice::tools::compress
