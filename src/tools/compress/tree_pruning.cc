#include "tools/compress/tree_pruning.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "engines/xgboost_convert.h"

namespace sluice::tools::compress {
namespace {

constexpr std::int64_t kNoParent = 2147483647;  // RegTree::kInvalidNodeId's parent in the file

struct TreeNode {
  int left = -1;
  int right = -1;
  int depth = 0;
  float gain = 0;
  double cover = 0;  // of a leaf
  double value = 0;  // of a leaf
  bool leaf() const { return left < 0; }
};

struct Tree {
  std::vector<TreeNode> nodes;
  std::vector<int> order;  // those that the root reaches, each before its children
};

Failure bad_tree(const std::string& what) {
  return invalid("bad_model", "a tree of the model " + what);
}

// One number for each node.
Result<std::vector<double>> column(const FloatJson& tree, const char* key, std::size_t count) {
  const auto found = tree.find(key);
  if (found == tree.end() || !found->is_array() || found->size() != count) {
    return bad_tree("has no '" + std::string(key) + "' for each of its nodes");
  }
  std::vector<double> out;
  for (const auto& value : *found) {
    if (value.is_boolean()) {
      out.push_back(value.get<bool>() ? 1 : 0);
    } else if (value.is_number()) {
      out.push_back(static_cast<double>(value.get<float>()));
    } else if (value.is_string() && value.get_ref<const std::string&>().starts_with('\a')) {
      out.push_back(std::nan(""));  // a literal that JSON does not have
    } else {
      return bad_tree("has a '" + std::string(key) + "' that is no number");
    }
  }
  return out;
}

// Node numbers, which floats would round.
Result<std::vector<std::int64_t>> links(const FloatJson& tree, const char* key) {
  const auto found = tree.find(key);
  if (found == tree.end() || !found->is_array())
    return bad_tree("has no '" + std::string(key) + "'");
  std::vector<std::int64_t> out;
  for (const auto& value : *found) {
    if (!value.is_number_integer())
      return bad_tree("has a '" + std::string(key) + "' that is no node");
    out.push_back(value.get<std::int64_t>());
  }
  return out;
}

// The nodes that the root reaches, and how deep.
Result<void> walk(Tree& tree) {
  std::vector<bool> seen(tree.nodes.size());
  std::vector<int> open{0};
  while (!open.empty()) {
    const int at = open.back();
    open.pop_back();
    if (at < 0 || at >= static_cast<int>(tree.nodes.size()) || seen[static_cast<std::size_t>(at)]) {
      return bad_tree("has a child that is no node of its own");
    }
    seen[static_cast<std::size_t>(at)] = true;
    tree.order.push_back(at);
    const auto& node = tree.nodes[static_cast<std::size_t>(at)];
    if (node.leaf()) continue;
    for (const int child : {node.right, node.left}) {
      if (child >= 0 && child < static_cast<int>(tree.nodes.size())) {
        tree.nodes[static_cast<std::size_t>(child)].depth = node.depth + 1;
      }
      open.push_back(child);
    }
  }
  return {};
}

Result<Tree> read_tree(const FloatJson& json) {
  SLUICE_TRY(const auto left, links(json, "left_children"));
  SLUICE_TRY(const auto right, links(json, "right_children"));
  const auto count = left.size();
  if (count == 0 || right.size() != count) return bad_tree("has no nodes");
  SLUICE_TRY(const auto gains, column(json, "loss_changes", count));
  SLUICE_TRY(const auto covers, column(json, "sum_hessian", count));
  SLUICE_TRY(const auto values, column(json, "split_conditions", count));
  Tree out;
  out.nodes.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto& node = out.nodes[i];
    node.left = left[i] < 0 ? -1 : static_cast<int>(std::min<std::int64_t>(left[i], kNoParent));
    node.right = right[i] < 0 ? -1 : static_cast<int>(std::min<std::int64_t>(right[i], kNoParent));
    node.gain = static_cast<float>(gains[i]);
    node.cover = covers[i];
    node.value = values[i];
  }
  SLUICE_CHECK(walk(out));
  return out;
}

// Sums over the leaves below a node.
struct Below {
  double cover = 0;
  double weighed = 0;
  double plain = 0;
  double leaves = 0;
  double mean() const { return cover > 0 ? weighed / cover : plain / leaves; }
};

// Turns splits into leaves; which ones.
std::vector<bool> collapse(Tree& tree, const TreeLimits& limits) {
  std::vector<Below> below(tree.nodes.size());
  std::vector<bool> out(tree.nodes.size());
  for (auto at = tree.order.rbegin(); at != tree.order.rend(); ++at) {
    const auto i = static_cast<std::size_t>(*at);
    auto& node = tree.nodes[i];
    if (node.leaf()) {
      below[i] = {node.cover, node.cover * node.value, node.value, 1};
      continue;
    }
    const auto& a = below[static_cast<std::size_t>(node.left)];
    const auto& b = below[static_cast<std::size_t>(node.right)];
    below[i] = {a.cover + b.cover, a.weighed + b.weighed, a.plain + b.plain, a.leaves + b.leaves};
    const bool last = tree.nodes[static_cast<std::size_t>(node.left)].leaf() &&
                      tree.nodes[static_cast<std::size_t>(node.right)].leaf();
    const bool deep = limits.max_depth && node.depth >= *limits.max_depth;
    if (!deep && !(limits.min_gain > 0 && last && node.gain < limits.min_gain)) continue;
    node.left = node.right = -1;
    node.value = below[i].mean();
    out[i] = true;
  }
  return out;
}

// The lists that have one entry for each node, without those that are gone.
void keep_nodes(FloatJson& json, std::size_t count, const std::vector<int>& kept) {
  for (auto& [key, list] : json.items()) {
    if (!list.is_array() || list.size() != count || key.starts_with("categories")) continue;
    auto shorter = FloatJson::array();
    for (const int i : kept) shorter.push_back(std::move(list[static_cast<std::size_t>(i)]));
    list = std::move(shorter);
  }
}

// Splits by categories: which nodes have them, where their list begins and how long it is.
void keep_categories(FloatJson& json, const std::vector<std::int64_t>& now,
                     const std::vector<bool>& collapsed) {
  const auto nodes = json.value("categories_nodes", FloatJson::array());
  if (nodes.empty()) return;
  const auto old = json;
  for (const auto* key :
       {"categories", "categories_nodes", "categories_segments", "categories_sizes"}) {
    json[key] = FloatJson::array();
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto node = nodes[i].get<std::size_t>();
    if (now[node] < 0 || collapsed[node]) continue;
    const auto first = old["categories_segments"][i].get<std::size_t>();
    const auto size = old["categories_sizes"][i].get<std::size_t>();
    json["categories_nodes"].push_back(now[node]);
    json["categories_segments"].push_back(json["categories"].size());
    json["categories_sizes"].push_back(size);
    for (std::size_t c = first; c < first + size; ++c) {
      json["categories"].push_back(old["categories"][c]);
    }
  }
}

void make_leaf(FloatJson& json, std::size_t at, double value) {
  json["split_conditions"][at] = static_cast<float>(value);
  json["loss_changes"][at] = 0.0F;
  for (const auto* key : {"split_indices", "split_type"}) json[key][at] = 0;
  auto& left = json["default_left"][at];
  left = left.is_boolean() ? FloatJson(false) : FloatJson(0);
}

void write_tree(FloatJson& json, const Tree& tree, const std::vector<bool>& collapsed) {
  const auto count = tree.nodes.size();
  std::vector<std::int64_t> parents(count, kNoParent);
  std::vector<std::int64_t> now(count, -1);
  std::vector<int> open{0};
  while (!open.empty()) {
    const auto at = static_cast<std::size_t>(open.back());
    open.pop_back();
    now[at] = 0;
    if (tree.nodes[at].leaf()) continue;
    for (const int child : {tree.nodes[at].left, tree.nodes[at].right}) {
      parents[static_cast<std::size_t>(child)] = static_cast<std::int64_t>(at);
      open.push_back(child);
    }
  }
  std::vector<int> kept;  // in the order that they had
  for (std::size_t i = 0; i < count; ++i) {
    if (now[i] < 0) continue;
    now[i] = static_cast<std::int64_t>(kept.size());
    kept.push_back(static_cast<int>(i));
  }
  keep_categories(json, now, collapsed);
  keep_nodes(json, count, kept);
  const auto number = [&](int old) { return old < 0 ? -1 : now[static_cast<std::size_t>(old)]; };
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto old = static_cast<std::size_t>(kept[i]);
    if (collapsed[old]) make_leaf(json, i, tree.nodes[old].value);
    json["left_children"][i] = number(tree.nodes[old].left);
    json["right_children"][i] = number(tree.nodes[old].right);
    json["parents"][i] = old == 0 ? kNoParent : number(static_cast<int>(parents[old]));
  }
  json["tree_param"]["num_nodes"] = std::to_string(kept.size());
  json["tree_param"]["num_deleted"] = "0";
}

std::uint64_t splits_of(const Tree& tree) {
  std::uint64_t out = 0;
  std::vector<int> open{0};
  while (!open.empty()) {
    const auto& node = tree.nodes[static_cast<std::size_t>(open.back())];
    open.pop_back();
    if (node.leaf()) continue;
    ++out;
    open.insert(open.end(), {node.left, node.right});
  }
  return out;
}

bool has_vectors(const FloatJson& tree) {
  const auto parameters = tree.value("tree_param", FloatJson::object());
  const auto size = parameters.value("size_leaf_vector", FloatJson("0"));
  return size.is_string() && parse_uint(size.get<std::string>()).value_or(0) > 1;
}

}  // namespace

Result<FloatJson> read_model(std::string_view text) {
  auto out = FloatJson::parse(engines::strict_json(text), nullptr, false);
  if (!out.is_object())
    return invalid("bad_model", "the model is not the JSON of XGBoost's schema");
  return out;
}

std::string write_model(const FloatJson& model) { return engines::loose_json(model.dump()); }

Result<std::vector<float>> gains_of(const FloatJson& json) {
  SLUICE_TRY(const auto tree, read_tree(json));
  std::vector<float> out;
  for (const int i : tree.order) {
    const auto& node = tree.nodes[static_cast<std::size_t>(i)];
    if (!node.leaf()) out.push_back(node.gain);
  }
  return out;
}

Result<TreeCounts> prune_tree(FloatJson& json, const TreeLimits& limits) {
  if (has_vectors(json)) {
    return invalid(
        "not_compressible",
        "the model's leaves hold several numbers each (multi_strategy multi_output_tree);"
        " train it with one_output_per_tree to prune it");
  }
  SLUICE_TRY(auto tree, read_tree(json));
  TreeCounts out;
  out.splits_before = splits_of(tree);
  const auto collapsed = collapse(tree, limits);
  out.splits = splits_of(tree);
  if (out.splits != out.splits_before) write_tree(json, tree, collapsed);
  return out;
}

}  // namespace sluice::tools::compress
