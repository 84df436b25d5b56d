// What XGBoost takes on trust of a model that it has read: indices of nodes, features, classes and
// trees, by which it reads memory, and numbers by which it allocates. Here they are held against
// what is in the file.
//
// Errors: kInvalidArgument/`bad_model`, as `damaged_xgboost`. Thread-safety: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::engines {

// One tree's arrays, where they are in the file: a value for each node, and the categories of
// splits by category one node's behind the other's.
struct XgboostTree {
  std::optional<std::int64_t> nodes;  // how many it says that it has
  std::vector<std::int32_t> left, right, parents, feature;
  bool has_parents = true;                         // the old binary format's are not looked up
  std::optional<std::vector<std::int32_t>> kinds;  // of splits: 1 is by category
  std::vector<std::int32_t> category_begins, category_counts, category_nodes, categories;

  void clear();
};

struct XgboostParts {
  std::string booster;
  std::optional<std::int64_t> features, classes, targets, objective_classes;
  std::optional<std::int64_t> trees_said, parallel, best_iteration;
  std::vector<std::int32_t> groups;  // of each tree, the class that it is for
  std::vector<std::int32_t> ids;     // of each tree, its place
  bool has_weights = false;
  std::size_t weights = 0;  // of a linear model
  std::size_t dropped = 0;  // weights of dart's trees
  // Of all trees.
  std::size_t trees = 0;
  std::int64_t largest_feature = -1;
  std::size_t deepest = 0;
  std::uint64_t category_bits = 0;
};

// The attribute of that name, as the engine reads it: what is no number is the first.
std::int64_t read_best_iteration(std::string_view text);

// Adds one tree to `parts`.
Result<void> add_sound_tree(const XgboostTree& tree, XgboostParts& parts);

// The whole, when every tree has been added. `size`: of the file.
Result<void> check_parts(const XgboostParts& parts, std::size_t size);

}  // namespace sluice::engines
