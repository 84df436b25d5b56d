// Explanations of XGBoost's models against Shapley's definition, on trees read from the model files
// by the test itself.

#include "engines/xgboost.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

namespace sluice::engines {
namespace {

using nlohmann::json;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

std::string path_of(const std::string& name) { return std::string(SLUICE_SOURCE_DIR) + "/" + name; }

json read_json(const std::string& name) { return json::parse(std::ifstream(path_of(name))); }

std::unique_ptr<Model> load(const std::string& name) {
  const auto slash = name.rfind('/');
  auto directory = open_directory(path_of(name.substr(0, slash)));
  ModelFile file;
  file.name = name.substr(slash + 1);
  file.contents = *FileBytes::copy(*open_beneath(*directory, file.name), "the model file");
  file.directory = std::make_shared<const Fd>(std::move(*directory));
  return std::move(*make_xgboost()->load(file, {}));
}

TensorView tensor(const std::vector<float>& values, std::size_t width) {
  TensorView out;
  out.shape = {static_cast<std::int64_t>(values.size() / width), static_cast<std::int64_t>(width)};
  out.data = std::as_bytes(std::span(values));
  return out;
}

double number(const json& value) {
  return value.is_string() ? std::stod(value.get<std::string>()) : value.get<double>();
}

// The mean answer of a tree's node when only the features of `known` are: where one is not, the
// training rows that went either way weigh its children.
double expected(const json& tree, std::size_t node, const std::vector<float>& row,
                std::uint64_t known) {
  const auto left = tree["left_children"][node].get<int>();
  if (left < 0) return tree["split_conditions"][node].get<float>();
  const auto right = tree["right_children"][node].get<std::size_t>();
  const auto feature = tree["split_indices"][node].get<std::size_t>();
  if ((known >> feature & 1) != 0) {
    const bool goes_left = std::isnan(row[feature])
                               ? number(tree["default_left"][node]) != 0
                               : row[feature] < tree["split_conditions"][node].get<float>();
    return expected(tree, goes_left ? static_cast<std::size_t>(left) : right, row, known);
  }
  const auto& cover = tree["sum_hessian"];
  const double a = cover[static_cast<std::size_t>(left)].get<double>();
  const double b = cover[right].get<double>();
  return (a * expected(tree, static_cast<std::size_t>(left), row, known) +
          b * expected(tree, right, row, known)) /
         cover[node].get<double>();
}

// Of one tree, by the sum over all sets of the features that it splits by.
void add_tree(const json& tree, const std::vector<float>& row, std::vector<double>& out) {
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < tree["left_children"].size(); ++i) {
    if (tree["left_children"][i].get<int>() >= 0) {
      used |= std::uint64_t{1} << tree["split_indices"][i].get<std::size_t>();
    }
  }
  const auto n = static_cast<double>(std::popcount(used));
  for (std::uint64_t set = used;; set = (set - 1) & used) {
    const auto size = static_cast<double>(std::popcount(set));
    const double worth = expected(tree, 0, row, set);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto bit = std::uint64_t{1} << i;
      if ((used & bit) == 0 || (set & bit) != 0) continue;
      const double weight =
          std::exp(std::lgamma(size + 1) + std::lgamma(n - size) - std::lgamma(n + 1));
      out[i] += weight * (expected(tree, 0, row, set | bit) - worth);
    }
    if (set == 0) break;
  }
  out.back() += expected(tree, 0, row, 0);
}

// [group][feature], with the trees' own base value last.
std::vector<std::vector<double>> by_definition(const json& file, const std::vector<float>& row,
                                               std::size_t groups) {
  const auto& model = file["learner"]["gradient_booster"]["model"];
  std::vector<std::vector<double>> out(groups, std::vector<double>(row.size() + 1));
  for (std::size_t i = 0; i < model["trees"].size(); ++i) {
    add_tree(model["trees"][i], row, out[model["tree_info"][i].get<std::size_t>()]);
  }
  return out;
}

// `margin` is what the model adds to its trees: base_score behind the objective's link.
void expect_definition(const std::string& name, const std::vector<float>& rows, std::size_t groups,
                       double margin) {
  SCOPED_TRACE(name);
  ASSERT_FALSE(rows.empty());
  const auto file = read_json(name);
  const auto model = load(name);
  const auto width = static_cast<std::size_t>(model->signature().inputs[0].dims[1]);
  Arena arena;
  const auto input = tensor(rows, width);
  ASSERT_TRUE(model->explains());
  const auto found = model->explain({&input, 1}, arena);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->groups, groups);
  ASSERT_EQ(found->features, width);
  ASSERT_EQ(found->rows, rows.size() / width);
  for (std::size_t r = 0; r < found->rows; ++r) {
    const std::vector<float> row(&rows[r * width], &rows[r * width] + width);
    const auto wanted = by_definition(file, row, groups);
    for (std::size_t g = 0; g < groups; ++g) {
      EXPECT_NEAR(found->base[g], wanted[g][width] + margin, 1e-5);
      for (std::size_t i = 0; i < width; ++i) {
        EXPECT_NEAR(found->values[(r * groups + g) * width + i], wanted[g][i], 1e-5)
            << "row " << r << ", group " << g << ", feature " << i;
      }
    }
  }
}

std::vector<float> golden_rows(const std::string& file) {
  std::ifstream lines(path_of("tests/models/xgb_golden.jsonl"));
  std::vector<float> out;
  std::string line;
  while (std::getline(lines, line)) {
    const auto golden = json::parse(line);
    if (golden["file"] != file) continue;
    for (const auto& value : golden["features"]) {
      out.push_back(value.is_null() ? kMissing : value.get<float>());
    }
  }
  return out;
}

TEST(XgboostExplanation, IsShapleysDefinition) {
  const struct {
    const char* name;
    std::size_t groups;
    double margin;
  } models[] = {{"xgb_binary.json", 1, 0},
                {"xgb_multi_softprob.json", 3, 0.5},
                {"xgb_multi_softmax.json", 3, 0.5},
                {"xgb_regression.json", 1, 20},
                {"xgb_ranking.json", 1, 0.5}};
  for (const auto& [name, groups, margin] : models) {
    const auto rows = golden_rows(name);
    ASSERT_GE(rows.size(), 4U * 4);
    expect_definition(std::string("tests/models/") + name, rows, groups, margin);
  }
}

// Some rows that an example model was trained beside.
std::vector<float> example_rows(const std::string& name) {
  std::ifstream lines(path_of("examples/golden/" + name));
  std::vector<float> out;
  std::string line;
  for (int row = 0; row < 4 && std::getline(lines, line); ++row) {
    const auto golden = json::parse(line);
    for (const auto& value : golden["features"]) out.push_back(value.get<float>());
  }
  return out;
}

TEST(XgboostExplanation, IsShapleysDefinitionOfModelsOfRealSize) {
  expect_definition("examples/models/wine/1/model.json", example_rows("wine.1.jsonl"), 3, 0.5);
  expect_definition("examples/models/breast_cancer/v2/model.json",
                    example_rows("breast_cancer.v2.jsonl"), 1, 0);
}

// Margins from probabilities: what the attributions must add up to.
TEST(XgboostExplanation, AddsUpToTheMargin) {
  const auto model = load("tests/models/xgb_binary.json");
  const auto rows = golden_rows("xgb_binary.json");
  const auto input = tensor(rows, 4);
  Arena arena;
  TensorView output;
  ASSERT_TRUE(model->run({&input, 1}, {&output, 1}, arena));
  const auto found = model->explain({&input, 1}, arena);
  ASSERT_TRUE(found);
  for (std::size_t r = 0; r < found->rows; ++r) {
    double sum = found->base[0];
    for (std::size_t i = 0; i < 4; ++i) sum += found->values[r * 4 + i];
    const double probability = number_at(output, r);
    EXPECT_NEAR(sum, std::log(probability / (1 - probability)), 1e-5);
  }
}

// Of a linear model a feature's attribution is weight by value, where XGBoost has no feature means,
// and its base value the bias.
TEST(XgboostExplanation, LinearModelsAreWeightByValue) {
  const auto weights =
      read_json("tests/models/xgb_linear.json")["learner"]["gradient_booster"]["model"]["weights"];
  const auto model = load("tests/models/xgb_linear.json");
  EXPECT_FALSE(model->thread_safe());
  const std::vector<float> row = {2, -1, kMissing, 0.5F};
  const auto input = tensor(row, 4);
  Arena arena;
  TensorView output;
  ASSERT_TRUE(model->run({&input, 1}, {&output, 1}, arena));
  const auto found = model->explain({&input, 1}, arena);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->groups, 3U);
  double exponentials[3];
  double total = 0;
  for (std::size_t g = 0; g < 3; ++g) {
    EXPECT_NEAR(found->base[g], weights[12 + g].get<double>() + 0.5, 1e-6);
    double sum = found->base[g];
    for (std::size_t i = 0; i < 4; ++i) {
      const double value = std::isnan(row[i]) ? 0 : row[i];
      EXPECT_NEAR(found->values[g * 4 + i], weights[i * 3 + g].get<double>() * value, 1e-6);
      sum += found->values[g * 4 + i];
    }
    total += exponentials[g] = std::exp(sum);
  }
  for (std::size_t g = 0; g < 3; ++g) {
    EXPECT_NEAR(number_at(output, g), exponentials[g] / total, 1e-6);
  }
}

TEST(XgboostExplanation, ManyThreadsGetTheSame) {
  const auto model = load("tests/models/xgb_multi_softprob.json");
  const auto rows = golden_rows("xgb_multi_softprob.json");
  const auto input = tensor(rows, 4);
  Arena arena;
  const auto wanted = model->explain({&input, 1}, arena);
  ASSERT_TRUE(wanted);
  std::atomic<int> same{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        Arena own;
        TensorView output;
        const auto found = model->explain({&input, 1}, own);
        if (found && std::ranges::equal(found->values, wanted->values) &&
            model->run({&input, 1}, {&output, 1}, own)) {
          ++same;
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(same, 4 * 50);
}

TEST(XgboostExplanation, InfiniteValuesAreRefused) {
  const auto model = load("tests/models/xgb_binary.json");
  const std::vector<float> row = {1, std::numeric_limits<float>::infinity(), 0, 0};
  const auto input = tensor(row, 4);
  Arena arena;
  const auto found = model->explain({&input, 1}, arena);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "not_explainable");
}

TEST(XgboostExplanation, NoRowsHaveNone) {
  const auto model = load("tests/models/xgb_binary.json");
  const std::vector<float> none;
  const auto input = tensor(none, 4);
  Arena arena;
  const auto found = model->explain({&input, 1}, arena);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->rows, 0U);
}

}  // namespace
}  // namespace sluice::engines
