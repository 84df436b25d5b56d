#include "engines/xgboost_sound.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "base/text.h"
#include "engines/xgboost_walk.h"

namespace sluice::engines {
namespace {

// A row of so many needs 1.2 GB inside XGBoost.
constexpr std::int64_t kMostFeatures = std::int64_t{1} << 24;
// Of a model without a tree, which nothing else says the number of.
constexpr std::int64_t kMostClasses = std::int64_t{1} << 16;
// Values of one row's explanation.
constexpr std::int64_t kMostAttributions = std::int64_t{1} << 28;
// XGBoost's own bound: a float tells larger ones no longer apart.
constexpr std::int32_t kMostCategories = 1 << 24;
// XGBoost keeps a bit for each category up to the largest that a split names.
constexpr std::uint64_t kCategoryBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kCategoryBytesOfFile = 64;  // times its size

// One tree at a time, while it is looked at.
class TreeCheck {
 public:
  TreeCheck(const XgboostTree& tree, XgboostParts& parts) : tree_(tree), parts_(parts) {}

  Result<void> run() {
    SLUICE_CHECK(lengths());
    SLUICE_CHECK(parents());
    SLUICE_CHECK(kinds());
    SLUICE_CHECK(categories());
    return from_root();
  }

 private:
  template <class... Args>
  Failure broken(fmt::format_string<Args...> what, Args&&... args) const {
    return damaged_xgboost(fmt::format("in tree {}, ", parts_.trees) +
                           fmt::format(what, std::forward<Args>(args)...));
  }

  Result<void> lengths() {
    if (!tree_.nodes || *tree_.nodes < 1) return broken("it is not said how many nodes there are");
    const auto differs = [&](const auto& values) {
      return values.size() != static_cast<std::uint64_t>(*tree_.nodes);
    };
    if (differs(tree_.left) || differs(tree_.right) || differs(tree_.feature) ||
        (tree_.has_parents && differs(tree_.parents)) || (tree_.kinds && differs(*tree_.kinds))) {
      return broken("lists of nodes do not have the {} values that are said", *tree_.nodes);
    }
    nodes_ = tree_.left.size();
    return {};
  }

  // XGBoost looks each up, of nodes that are cut off as well.
  Result<void> parents() {
    for (std::size_t i = 1; tree_.has_parents && i < nodes_; ++i) {
      const auto parent = tree_.parents[i];
      if (!is_node(parent)) return broken("node {} has {} for its parent", i, parent);
    }
    return {};
  }

  bool is_node(std::int32_t at) const { return at >= 0 && static_cast<std::size_t>(at) < nodes_; }

  // The nodes with a split by category are those that have categories, in the same order.
  Result<void> kinds() {
    if (!tree_.kinds) return {};
    const auto& nodes = tree_.category_nodes;
    std::size_t at = 0;
    for (std::size_t i = 0; i < nodes_; ++i) {
      const auto kind = (*tree_.kinds)[i];
      if (kind == 0) continue;
      if (kind != 1) return broken("node {} is of an unknown kind {}", i, kind);
      if (at == nodes.size() || nodes[at] != static_cast<std::int64_t>(i)) {
        return broken("node {} splits by categories and has none", i);
      }
      ++at;
    }
    if (at != nodes.size())
      return broken("there are categories of {} nodes too many", nodes.size() - at);
    return {};
  }

  Result<void> categories() {
    const auto splits = tree_.category_nodes.size();
    if (!tree_.kinds) return {};
    if (tree_.category_begins.size() != splits || tree_.category_counts.size() != splits) {
      return broken("lists of categories differ in their lengths");
    }
    for (std::size_t i = 0; i < splits; ++i) SLUICE_CHECK(categories_of(i));
    return {};
  }

  Result<void> categories_of(std::size_t split) {
    const std::int64_t begin = tree_.category_begins[split];
    const std::int64_t count = tree_.category_counts[split];
    const auto all = static_cast<std::int64_t>(tree_.categories.size());
    if (begin < 0 || count < 1 || begin > all || count > all - begin) {
      return broken("node {} has categories that are not there", tree_.category_nodes[split]);
    }
    const auto [least, most] = std::minmax_element(tree_.categories.begin() + begin,
                                                   tree_.categories.begin() + begin + count);
    if (*least < 0 || *most >= kMostCategories) {
      return broken("there is a category {}", *least < 0 ? *least : *most);
    }
    parts_.category_bits += static_cast<std::uint64_t>(*most) + 32;
    return {};
  }

  // Every node that an answer can come by is reached once, so that every way has an end.
  Result<void> from_root() {
    std::vector<bool> reached(nodes_);
    struct Stop {
      std::int32_t node;
      std::size_t depth;
    };
    std::vector<Stop> open = {{0, 0}};
    reached[0] = true;
    while (!open.empty()) {
      const auto [node, depth] = open.back();
      open.pop_back();
      parts_.deepest = std::max(parts_.deepest, depth);
      const auto at = static_cast<std::size_t>(node);
      if (tree_.left[at] == -1) continue;
      SLUICE_CHECK(split(at));
      for (const auto child : {tree_.left[at], tree_.right[at]}) {
        if (!is_node(child)) return broken("node {} has {} for a child", node, child);
        if (reached[static_cast<std::size_t>(child)]) {
          return broken("two ways lead to node {}", child);
        }
        reached[static_cast<std::size_t>(child)] = true;
        open.push_back({child, depth + 1});
      }
    }
    return {};
  }

  Result<void> split(std::size_t at) {
    const auto feature = tree_.feature[at];
    if (feature < 0) return broken("node {} splits by feature {}", at, feature);
    parts_.largest_feature = std::max<std::int64_t>(parts_.largest_feature, feature);
    const bool by_category = tree_.kinds && (*tree_.kinds)[at] == 1;
    // XGBoost goes on to the node behind the left child, whatever is said.
    if (!by_category && std::int64_t{tree_.left[at]} + 1 != tree_.right[at]) {
      return broken("the right child of node {} does not follow the left one", at);
    }
    return {};
  }

  const XgboostTree& tree_;
  XgboostParts& parts_;
  std::size_t nodes_ = 0;
};

Result<void> check_linear(const XgboostParts& parts, std::int64_t groups) {
  const auto weights = checked_mul(*parts.features + 1, groups);
  if (parts.has_weights && weights && static_cast<std::uint64_t>(*weights) == parts.weights) {
    return {};
  }
  return damaged_xgboost(fmt::format(
      "it has {} weights, which is not one for each of {} features and {} classes, and the biases",
      parts.weights, *parts.features, groups));
}

// Which trees there are, and for what.
Result<void> check_trees(const XgboostParts& parts, std::int64_t groups) {
  const auto trees = static_cast<std::int64_t>(parts.trees);
  if (parts.trees_said != trees || parts.groups.size() != parts.trees) {
    return damaged_xgboost(fmt::format("there are {} trees, and {} with a class, but it says {}",
                                       trees, parts.groups.size(), parts.trees_said.value_or(0)));
  }
  for (const auto group : parts.groups) {
    if (group < 0 || group >= groups) {
      return damaged_xgboost(fmt::format("a tree is for class {} of {}", group, groups));
    }
  }
  auto ids = parts.ids;
  std::ranges::sort(ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != static_cast<std::int64_t>(i)) {
      return damaged_xgboost("the trees are not numbered from 0");
    }
  }
  if (ids.size() != parts.trees) return damaged_xgboost("a tree has no number");
  if (parts.largest_feature >= *parts.features) {
    return damaged_xgboost(fmt::format("a node splits by feature {}, but there are {}",
                                       parts.largest_feature, *parts.features));
  }
  return {};
}

// How often XGBoost goes on by `groups` times `parallel` trees.
Result<void> check_rounds(const XgboostParts& parts, std::int64_t groups) {
  const auto trees = static_cast<std::int64_t>(parts.trees);
  const auto round = checked_mul(groups, parts.parallel.value_or(1));
  if (!round || *round < 1 || *round > INT32_MAX) {
    return damaged_xgboost(fmt::format("it says that a round has {} trees for each of {} classes",
                                       parts.parallel.value_or(1), groups));
  }
  if (!parts.best_iteration) return {};
  if (trees == 0) return invalid("bad_model", "the model has no trees: it was never trained");
  const auto used = checked_mul(*round, parts.best_iteration.value_or(0));
  if (!used || *used > trees - *round) {
    return damaged_xgboost(fmt::format("its best iteration is {}, but there are only {} trees",
                                       *parts.best_iteration, trees));
  }
  return {};
}

Result<std::int64_t> count_groups(const XgboostParts& parts) {
  const auto classes = parts.classes.value_or(0);
  const auto targets = parts.targets.value_or(1);
  const auto groups = std::max({classes, targets, std::int64_t{1}});
  const bool trees = parts.trees > 0;
  const auto most = trees ? static_cast<std::int64_t>(parts.trees) : kMostClasses;
  if (classes < 0 || targets < 0 || groups > most) {
    return damaged_xgboost(
        trees ? fmt::format("it says {} classes, but has only {} trees", groups, parts.trees)
              : fmt::format("it says {} classes, more than the {} that are allowed", groups, most));
  }
  if (parts.objective_classes && *parts.objective_classes != classes) {
    return damaged_xgboost(fmt::format("it says {} classes in one place and {} in another", classes,
                                       *parts.objective_classes));
  }
  return groups;
}

}  // namespace

void XgboostTree::clear() {
  for (auto* values : {&left, &right, &parents, &feature, &category_begins, &category_counts,
                       &category_nodes, &categories}) {
    values->clear();
  }
  nodes.reset();
  kinds.reset();
}

std::int64_t read_best_iteration(std::string_view text) {
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return static_cast<std::int64_t>(std::min(parse_uint(text).value_or(0), most));
}

Result<void> add_sound_tree(const XgboostTree& tree, XgboostParts& parts) {
  SLUICE_CHECK(TreeCheck(tree, parts).run());
  ++parts.trees;
  return {};
}

Result<void> check_parts(const XgboostParts& parts, std::size_t size) {
  if (!parts.features || *parts.features < 0) {
    return damaged_xgboost("it does not say how many features there are");
  }
  if (*parts.features > kMostFeatures) {
    return invalid("bad_model",
                   fmt::format("the model says {} features; {} are the most, for which "
                               "a row needs 1.2 GB",
                               *parts.features, kMostFeatures));
  }
  SLUICE_TRY(const auto groups, count_groups(parts));
  if (groups > kMostAttributions / (*parts.features + 1)) {
    return invalid("bad_model", fmt::format("the model says {} features and {} classes, which are "
                                            "too many together",
                                            *parts.features, groups));
  }
  if (parts.booster == "gblinear") return check_linear(parts, groups);
  if (parts.category_bits / 8 > std::max(kCategoryBytes, kCategoryBytesOfFile * size)) {
    return damaged_xgboost("its splits by category would need more than 64 times its size");
  }
  if (parts.booster == "dart" && parts.dropped != parts.trees) {
    return damaged_xgboost(
        fmt::format("there are {} weights of {} trees", parts.dropped, parts.trees));
  }
  SLUICE_CHECK(check_trees(parts, groups));
  return check_rounds(parts, groups);
}

}  // namespace sluice::engines
