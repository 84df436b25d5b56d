// prune-trees: answers of pruned models against trees that the test reads, prunes and evaluates
// itself, by recursion; and that nothing changes where nothing is to go.

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/compress/testing/small_models.h"
#include "tools/compress/tree_pruning.h"

namespace sluice::tools::compress {
namespace {

using namespace small;
using nlohmann::json;

const std::string kSource = std::string(SLUICE_SOURCE_DIR) + "/";
const std::string kBinary = kSource + "examples/models/breast_cancer/v2/model.json";
const std::string kClasses = kSource + "examples/models/wine/1/model.json";
const std::string kDart = kSource + "tests/golden/trees_dart.json";
const std::string kCategories = kSource + "tests/golden/trees_categorical.json";
const std::string kCategoriesUbj = kSource + "tests/golden/trees_categorical.ubj";

struct Limits {
  double min_gain = 0;
  int max_depth = 1000;
  std::size_t rounds = 1000;
};

// One tree of the original file as the limits leave it.
class Oracle {
 public:
  Oracle(const json& tree, const Limits& limits) : tree_(tree), limits_(limits) {}

  double answer(const std::vector<float>& row, std::size_t node = 0, int depth = 0) const {
    if (is_leaf(node, depth)) {
      const auto [sum, cover] = below(node);
      return static_cast<float>(sum / cover);
    }
    return answer(row, goes_left(row, node) ? left(node) : right(node), depth + 1);
  }
  std::size_t splits(std::size_t node = 0, int depth = 0) const {
    if (is_leaf(node, depth)) return 0;
    return 1 + splits(left(node), depth + 1) + splits(right(node), depth + 1);
  }

 private:
  std::size_t left(std::size_t node) const { return tree_["left_children"][node]; }
  std::size_t right(std::size_t node) const { return tree_["right_children"][node]; }
  bool was_leaf(std::size_t node) const { return tree_["left_children"][node].get<int>() < 0; }

  bool is_leaf(std::size_t node, int depth) const {
    if (was_leaf(node) || depth >= limits_.max_depth) return true;
    return is_leaf(left(node), depth + 1) && is_leaf(right(node), depth + 1) &&
           tree_["loss_changes"][node].get<float>() < static_cast<float>(limits_.min_gain);
  }
  std::pair<double, double> below(std::size_t node) const {
    const double cover = tree_["sum_hessian"][node].get<float>();
    if (was_leaf(node)) return {cover * tree_["split_conditions"][node].get<float>(), cover};
    const auto a = below(left(node));
    const auto b = below(right(node));
    return {a.first + b.first, a.second + b.second};
  }
  bool goes_left(const std::vector<float>& row, std::size_t node) const {
    const float value = row[tree_["split_indices"][node].get<std::size_t>()];
    if (std::isnan(value)) return tree_["default_left"][node].get<int>() != 0;
    if (tree_["split_type"][node].get<int>() == 0) {
      return value < tree_["split_conditions"][node].get<float>();
    }
    const auto& nodes = tree_["categories_nodes"];
    const auto at = static_cast<std::size_t>(std::ranges::find(nodes, json(node)) - nodes.begin());
    const auto first = tree_["categories_segments"][at].get<std::size_t>();
    const auto size = tree_["categories_sizes"][at].get<std::size_t>();
    for (std::size_t i = first; i < first + size; ++i) {
      if (tree_["categories"][i].get<float>() == value) return false;
    }
    return true;
  }

  const json& tree_;
  const Limits& limits_;
};

struct File {
  json learner;
  explicit File(const std::string& path) {
    std::ifstream file(path);
    std::string text(std::istreambuf_iterator<char>(file), {});
    // The threshold of splits by category, which JSON has no word for.
    for (std::size_t at = 0; (at = text.find("[NaN", at)) != text.npos;)
      text.replace(at + 1, 3, "0.0");
    for (std::size_t at = 0; (at = text.find(",NaN", at)) != text.npos;)
      text.replace(at + 1, 3, "0.0");
    learner = json::parse(text)["learner"];
  }
  const json& booster() const { return learner["gradient_booster"]; }
  const json& model() const {
    return booster().contains("gbtree") ? booster()["gbtree"]["model"] : booster()["model"];
  }
  std::size_t number(const json& map, const char* key) const {
    return std::stoul(map[key].get<std::string>());
  }
  std::size_t per_round() const {
    return std::max<std::size_t>(number(learner["learner_model_param"], "num_class"), 1) *
           number(model()["gbtree_model_param"], "num_parallel_tree");
  }
};

// Margins of each class, base score and all.
std::vector<double> margins(const File& file, const std::vector<float>& row, const Limits& limits) {
  const auto& parameters = file.learner["learner_model_param"];
  const auto classes = std::max<std::size_t>(file.number(parameters, "num_class"), 1);
  double base = std::stod(parameters["base_score"].get<std::string>());
  const std::string objective = file.learner["objective"]["name"];
  if (objective == "binary:logistic") base = std::log(base / (1 - base));
  std::vector<double> out(classes, base);
  const auto& trees = file.model()["trees"];
  for (std::size_t i = 0; i < trees.size() && i < limits.rounds * file.per_round(); ++i) {
    const double weight =
        file.booster().contains("weight_drop") ? file.booster()["weight_drop"][i].get<double>() : 1;
    const auto group = file.model()["tree_info"][i].get<std::size_t>();
    out[group] += weight * Oracle(trees[i], limits).answer(row);
  }
  return out;
}

std::vector<float> wanted(const File& file, const std::vector<float>& row, const Limits& limits) {
  auto values = margins(file, row, limits);
  if (file.learner["objective"]["name"] == "binary:logistic") {
    return {static_cast<float>(1 / (1 + std::exp(-values[0])))};
  }
  double all = 0;
  if (values.size() > 1) {
    for (auto& value : values) all += value = std::exp(value);
    for (auto& value : values) value /= all;
  }
  return {values.begin(), values.end()};
}

// Rows around the thresholds of the model itself, some values missing.
std::vector<std::vector<float>> rows_for(const File& file, std::size_t count) {
  const auto width = file.number(file.learner["learner_model_param"], "num_feature");
  std::vector<std::vector<float>> seen(width);
  std::vector<bool> categories(width);
  for (const auto& tree : file.model()["trees"]) {
    for (std::size_t i = 0; i < tree["left_children"].size(); ++i) {
      if (tree["left_children"][i].get<int>() < 0) continue;
      const auto feature = tree["split_indices"][i].get<std::size_t>();
      if (tree["split_type"][i].get<int>() == 1) categories[feature] = true;
      seen[feature].push_back(tree["split_conditions"][i].get<float>());
    }
  }
  std::mt19937 random(5);
  std::vector<std::vector<float>> out(count, std::vector<float>(width));
  for (auto& row : out) {
    for (std::size_t i = 0; i < width; ++i) {
      if (seen[i].empty() || random() % 10 == 0) {
        row[i] = std::numeric_limits<float>::quiet_NaN();
      } else if (categories[i]) {
        row[i] = static_cast<float>(random() % 6);
      } else {
        row[i] = seen[i][random() % seen[i].size()];
        if (random() % 2 == 0) row[i] = std::nextafter(row[i], -HUGE_VALF);
      }
    }
  }
  return out;
}

// Of the model's engine against `wanted`.
void expect_answers(const std::filesystem::path& path, const File& file, const Limits& limits) {
  const auto rows = rows_for(file, 60);
  std::vector<float> flat;
  std::vector<float> want;
  for (const auto& row : rows) {
    flat.insert(flat.end(), row.begin(), row.end());
    const auto one = wanted(file, row, limits);
    want.insert(want.end(), one.begin(), one.end());
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  expect_close(answers(path, {count, static_cast<std::int64_t>(rows[0].size())}, flat), want,
               2e-6F);
}

using Given = std::vector<std::pair<std::string, std::string>>;

void expect_as_oracle(const std::string& path, const Given& given, const Limits& limits,
                      const std::string& ending = "") {
  SCOPED_TRACE(path);
  const Folder folder;
  const File file(path);
  const auto from = ending.empty() ? path : path.substr(0, path.size() - 5) + ending;
  const auto made = make("prune-trees", from, folder, given);
  ASSERT_TRUE(made) << made.error().message;
  std::size_t splits = 0;
  const auto& trees = file.model()["trees"];
  for (std::size_t i = 0; i < trees.size() && i < limits.rounds * file.per_round(); ++i) {
    splits += Oracle(trees[i], limits).splits();
  }
  EXPECT_EQ(made->details["splits"], splits);
  expect_answers(made->file, file, limits);
}

TEST(PruneTrees, TheOracleIsRightOfWhatIsNotPruned) {
  for (const auto& path : {kBinary, kClasses, kDart, kCategories}) {
    expect_answers(path, File(path), {});
  }
}

TEST(PruneTrees, SplitsOfLittleGainGo) {
  for (const auto& path : {kBinary, kClasses, kDart, kCategories}) {
    expect_as_oracle(path, {{"min_gain", "1.5"}}, {.min_gain = 1.5});
    expect_as_oracle(path, {{"min_gain", "12"}}, {.min_gain = 12});
    expect_as_oracle(path, {{"min_gain", "1e9"}}, {.min_gain = 1e9});  // only roots are left
  }
  expect_as_oracle(kCategories, {{"min_gain", "12"}}, {.min_gain = 12}, ".ubj");
}

TEST(PruneTrees, TreesAreCutAtADepth) {
  for (const auto& path : {kBinary, kClasses, kDart, kCategories}) {
    expect_as_oracle(path, {{"max_depth", "1"}}, {.max_depth = 1});
    expect_as_oracle(path, {{"max_depth", "2"}, {"min_gain", "3"}},
                     {.min_gain = 3, .max_depth = 2});
  }
}

TEST(PruneTrees, TheFirstRoundsStay) {
  for (const auto& path : {kBinary, kClasses, kDart, kCategories}) {
    expect_as_oracle(path, {{"keep_rounds", "2"}}, {.rounds = 2});
    expect_as_oracle(path, {{"keep_rounds", "500"}}, {.rounds = 500});
  }
}

TEST(PruneTrees, NothingChangesWhereNothingIsToGo) {
  for (const auto& path : {kBinary, kClasses, kDart, kCategories, kCategoriesUbj}) {
    const Folder folder;
    const auto made = make("prune-trees", path, folder, {{"min_gain", "0"}});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->details["splits"], made->details["splits_before"]);
    std::ifstream before(path, std::ios::binary);
    std::ifstream after(made->file, std::ios::binary);
    EXPECT_TRUE(std::equal(std::istreambuf_iterator<char>(before), {},
                           std::istreambuf_iterator<char>(after), {}))
        << "byte for byte: " << path;
  }
}

TEST(PruneTrees, AShareOfTheSplitsGoesByItself) {
  const Folder folder;
  const auto made = make("prune-trees", kBinary, folder);
  ASSERT_TRUE(made) << made.error().message;
  const double before = made->details["splits_before"];
  const double after = made->details["splits"];
  EXPECT_LT(after, before * 0.85);
  EXPECT_GE(after, std::floor(before * 0.7));
  EXPECT_LT(std::filesystem::file_size(made->file), std::filesystem::file_size(kBinary));
}

TEST(PruneTrees, SaysWhyAModelIsNotForIt) {
  const Folder folder;
  const auto models = kSource + "tests/models/";
  EXPECT_EQ(make("prune-trees", models + "xgb_linear.json", folder).error().reason,
            "not_compressible");
  EXPECT_EQ(make("prune-trees", models + "xgb_truncated.json", folder).error().reason, "bad_model");
  EXPECT_EQ(make("prune-trees", models + "xgb_notamodel.json", folder).error().reason, "bad_model");
  EXPECT_EQ(make("prune-trees", kBinary, folder, {{"max_depth", "0"}}).error().reason,
            "bad_settings");
  EXPECT_EQ(make("prune-trees", kBinary, folder, {}, true).error().code, Code::kCancelled);
}

TEST(TreePruning, LiteralsThatJsonLacksComeBack) {
  const std::string text =
      R"({"a":[NaN,-Infinity,1.5,Infinity],"b":"NaN, \"Infinity\\","c":{"NaN":"-Infinity"}})";
  const auto model = read_model(text);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(write_model(*model), text);
  EXPECT_FALSE(read_model("[1,2]"));
  EXPECT_FALSE(read_model(R"({"a":)"));
}

TEST(TreePruning, RefusesWhatIsNoTree) {
  auto tree = FloatJson::parse(
      R"({"left_children":[1,-1,-1],"right_children":[2,-1,-1],"loss_changes":[1,0,0],)"
      R"("sum_hessian":[2,1,1],"split_conditions":[0.5,1,3]})");
  EXPECT_EQ(prune_tree(tree, {})->splits, 1U);
  for (const auto* wrong : {R"({"left_children":[0,-1,-1]})", R"({"left_children":[7,-1,-1]})",
                            R"({"right_children":[1,-1,-1]})", R"({"right_children":[2,-1]})",
                            R"({"sum_hessian":[2,1]})", R"({"loss_changes":["a","b","c"]})"}) {
    auto broken = tree;
    broken.update(FloatJson::parse(wrong));
    const auto pruned = prune_tree(broken, {});
    ASSERT_FALSE(pruned) << wrong;
    EXPECT_EQ(pruned.error().reason, "bad_model");
  }
  auto vectors = tree;
  vectors["tree_param"]["size_leaf_vector"] = "3";
  EXPECT_EQ(prune_tree(vectors, {}).error().reason, "not_compressible");
}

}  // namespace
}  // namespace sluice::tools::compress
