// Against a walk that any reader can follow.
#include "engines/tree_ensemble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace sluice::engines {
namespace {

constexpr std::size_t kColumns = 7;
constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

class Trees : public testing::Test {
 protected:
  std::size_t below(std::size_t count) { return random_() % count; }
  float number() { return static_cast<float>(below(21)) - 10; }

  // With so many leaves, of any shape.
  Tree tree(std::size_t leaves, std::size_t group) {
    Tree out;
    out.group = group;
    const auto leaf = [&] {
      out.left.push_back(-1);
      out.right.push_back(-1);
      out.feature.push_back(0);
      out.value.push_back(number() / 8);
      out.missing_left.push_back(0);
    };
    leaf();
    while ((out.left.size() + 1) / 2 < leaves) {
      const auto node = below(out.left.size());
      if (out.left[node] >= 0) continue;
      out.left[node] = static_cast<std::int32_t>(out.left.size());
      out.right[node] = out.left[node] + 1;
      out.feature[node] = static_cast<std::uint32_t>(below(kColumns));
      out.value[node] = number();
      out.missing_left[node] = below(2) == 0;
      leaf();
      leaf();
    }
    return out;
  }

  std::vector<float> rows(std::size_t count, bool missing) {
    std::vector<float> out(count * kColumns);
    for (auto& value : out) value = missing && below(5) == 0 ? kMissing : number();
    return out;
  }

  static float walk(const Tree& tree, const float* row) {
    std::size_t at = 0;
    while (tree.left[at] >= 0) {
      const float value = row[tree.feature[at]];
      const bool left = std::isnan(value) ? tree.missing_left[at] != 0 : value < tree.value[at];
      at = static_cast<std::size_t>(left ? tree.left[at] : tree.right[at]);
    }
    return tree.value[at];
  }

  // In the same order of the same additions.
  static std::vector<float> walk(const std::vector<Tree>& trees, const std::vector<float>& rows,
                                 std::size_t groups) {
    std::vector<float> out(rows.size() / kColumns * groups, 0.5F);
    for (std::size_t row = 0; row < rows.size() / kColumns; ++row) {
      for (const auto& tree : trees) {
        out[row * groups + tree.group] += walk(tree, rows.data() + row * kColumns);
      }
    }
    return out;
  }

  void check(const std::vector<Tree>& trees, std::size_t groups) {
    const auto ensemble = TreeEnsemble::make(trees, kColumns, groups);
    ASSERT_TRUE(ensemble);
    for (const std::size_t count : {0, 1, 2, 15, 16, 17, 63, 64, 65, 100, 200}) {
      const auto all = rows(count, count % 2 == 1);
      std::vector<float> sums(count * groups, 0.5F);
      ensemble->add(all, sums);
      EXPECT_EQ(sums, walk(trees, all, groups)) << count << " rows";
    }
  }

  std::mt19937 random_{11};
};

TEST_F(Trees, OfEveryNumberOfLeaves) {
  for (std::size_t leaves = 1; leaves < 80; ++leaves) check({tree(leaves, 0)}, 1);
}

TEST_F(Trees, AddUpByGroup) {
  for (std::size_t groups = 1; groups < 5; ++groups) {
    std::vector<Tree> trees;
    for (std::size_t i = 0; i < 30; ++i) trees.push_back(tree(1 + below(64), below(groups)));
    check(trees, groups);
  }
}

TEST_F(Trees, NoTreesAtAll) { check({}, 2); }

TEST_F(Trees, TellTheirThresholds) {
  const auto one = tree(12, 0);
  const auto thresholds = TreeEnsemble::make({{one}}, kColumns, 1)->thresholds();
  std::size_t count = 0;
  for (std::size_t node = 0; node < one.left.size(); ++node) {
    if (one.left[node] < 0) continue;
    ++count;
    const auto& of_feature = thresholds[one.feature[node]];
    EXPECT_NE(std::ranges::find(of_feature, one.value[node]), of_feature.end());
  }
  EXPECT_EQ(count, 11U);
}

}  // namespace
}  // namespace sluice::engines
