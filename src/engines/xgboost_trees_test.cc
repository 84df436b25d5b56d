// Trees walked here against XGBoost's own answers.
#include "engines/xgboost_trees.h"

#include <gtest/gtest.h>
#include <xgboost/c_api.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

namespace sluice::engines {
namespace {

using nlohmann::json;

std::string text_of(const std::string& name) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/" + name);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

// XGBoost itself.
class Library {
 public:
  explicit Library(const std::string& model) {
    XGBoosterCreate(nullptr, 0, &booster_);
    EXPECT_EQ(XGBoosterLoadModelFromBuffer(booster_, model.data(), model.size()), 0);
  }
  ~Library() { XGBoosterFree(booster_); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  std::span<const float> predict(std::span<const float> rows, std::size_t columns) const {
    const auto view = R"({"data":[)" +
                      std::to_string(reinterpret_cast<std::uintptr_t>(rows.data())) +
                      R"(,true],"shape":[)" + std::to_string(rows.size() / columns) + "," +
                      std::to_string(columns) + R"(],"typestr":"<f4","version":3})";
    const bst_ulong* shape = nullptr;
    bst_ulong rank = 0;
    const float* out = nullptr;
    EXPECT_EQ(XGBoosterPredictFromDense(
                  booster_, view.c_str(),
                  R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,)"
                  R"("strict_shape":true,"cache_id":0,"missing":NaN})",
                  nullptr, &shape, &rank, &out),
              0);
    return {out, shape[0] * shape[1]};
  }

 private:
  BoosterHandle booster_ = nullptr;
};

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

class XgboostTreesOf : public testing::TestWithParam<const char*> {};

TEST_P(XgboostTreesOf, AnswerAsTheLibraryDoes) {
  const auto model = text_of(GetParam());
  const auto trees = XgboostTrees::read(model, 0);
  ASSERT_TRUE(trees);
  const Library library(model);
  const auto columns = trees->columns();
  EXPECT_TRUE(trees->agrees([&](auto rows) { return library.predict(rows, columns); }));
  // Other rows than those, and every number of rows that a block can have.
  std::mt19937 random(3);
  for (std::size_t count = 0; count < 200; ++count) {
    std::vector<float> rows(count * columns);
    for (auto& value : rows) {
      value = static_cast<float>(random() % 4000) / 100;
      if (count % 2 && random() % 5 == 0) value = std::numeric_limits<float>::quiet_NaN();
      if (count % 3 == 0 && random() % 9 == 0) value = std::numeric_limits<float>::infinity();
    }
    std::vector<float> own(count * trees->groups());
    trees->predict(rows, own);
    if (count == 0) continue;
    EXPECT_TRUE(std::ranges::equal(own, library.predict(rows, columns), same)) << count << " rows";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, XgboostTreesOf,
                         testing::Values("examples/models/breast_cancer/v2/model.json",
                                         "examples/models/wine/1/model.json",
                                         "tests/models/xgb_binary.json",
                                         "tests/models/xgb_multi_softprob.json",
                                         "tests/models/xgb_ranking.json",
                                         "tests/models/xgb_regression.json"));

TEST(XgboostTrees, LeaveTheRestToTheLibrary) {
  for (const char* name : {"tests/models/xgb_linear.json", "tests/models/xgb_multi_softmax.json",
                           "tests/models/xgb_notamodel.json", "tests/models/xgb_truncated.json"}) {
    EXPECT_FALSE(XgboostTrees::read(text_of(name), 0)) << name;
  }
  auto model = json::parse(text_of("tests/models/xgb_binary.json"));
  model["learner"]["gradient_booster"]["name"] = "dart";
  EXPECT_FALSE(XgboostTrees::read(model.dump(), 0));
}

TEST(XgboostTrees, TreesThatAreNone) {
  const auto model = json::parse(text_of("tests/models/xgb_binary.json"));
  const auto broken = [&](const char* key, std::size_t node, const json& value) {
    auto other = model;
    auto& trees = other["learner"]["gradient_booster"]["model"]["trees"];
    trees[0][key][node] = value;
    return !XgboostTrees::read(other.dump(), 0);
  };
  EXPECT_FALSE(broken("split_conditions", 0, 0.25));
  EXPECT_TRUE(broken("left_children", 0, 0)) << "a node is its own child";
  EXPECT_TRUE(broken("left_children", 0, 1'000'000));
  EXPECT_TRUE(broken("right_children", 0, -1));
  EXPECT_TRUE(broken("right_children", 0,
                     model["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0]))
      << "both children are one";
  EXPECT_TRUE(broken("split_indices", 0, 1'000'000));
  EXPECT_TRUE(broken("split_type", 0, 1)) << "by categories";
}

TEST(XgboostTrees, OtherAnswersAreSeen) {
  auto model = json::parse(text_of("tests/models/xgb_binary.json"));
  const Library library(model.dump());
  auto& value = model["learner"]["gradient_booster"]["model"]["trees"][0]["split_conditions"][0];
  value = std::nextafter(value.get<float>(), 1e9F);
  const auto trees = XgboostTrees::read(model.dump(), 0);
  ASSERT_TRUE(trees);
  EXPECT_FALSE(trees->agrees([&](auto rows) { return library.predict(rows, trees->columns()); }));
  EXPECT_FALSE(trees->agrees([](auto) { return std::span<const float>(); }));
}

// Iterations of three classes are three trees each.
TEST(XgboostTrees, OnlySoManyIterations) {
  const auto model = text_of("examples/models/wine/1/model.json");
  const auto all = XgboostTrees::read(model, 0);
  const auto one = XgboostTrees::read(model, 1);
  ASSERT_TRUE(all && one);
  std::vector<float> row(all->columns(), 1);
  std::vector<float> of_all(all->groups());
  std::vector<float> of_one(all->groups());
  all->predict(row, of_all);
  one->predict(row, of_one);
  EXPECT_NE(of_all, of_one);
  auto cut = json::parse(model);
  auto& gbtree = cut["learner"]["gradient_booster"]["model"];
  const auto trees = all->groups();
  gbtree["trees"].erase(gbtree["trees"].begin() + static_cast<std::ptrdiff_t>(trees),
                        gbtree["trees"].end());
  gbtree["tree_info"].erase(gbtree["tree_info"].begin() + static_cast<std::ptrdiff_t>(trees),
                            gbtree["tree_info"].end());
  gbtree["gbtree_model_param"]["num_trees"] = std::to_string(trees);
  const Library library(cut.dump());
  EXPECT_TRUE(std::ranges::equal(of_one, library.predict(row, row.size())));
}

}  // namespace
}  // namespace sluice::engines
