#include "engines/xgboost_trees.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "base/text.h"

namespace sluice::engines {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kMostFeatures = 100'000;
constexpr std::size_t kRowsHeld = 256;  // against the library

// Settings are texts or numbers, depending on the version that wrote the file.
std::optional<double> number(dom::element value) {
  double real = 0;
  if (value.get_double().get(real) == simdjson::SUCCESS) return real;
  bool truth = false;
  if (value.get_bool().get(truth) == simdjson::SUCCESS) return truth ? 1 : 0;
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
  return parse_double(text);
}

std::optional<double> number_at(dom::element object, const char* path) {
  dom::element value;
  return object.at_pointer(path).get(value) == simdjson::SUCCESS ? number(value) : std::nullopt;
}

std::string_view text_at(dom::element object, const char* path) {
  std::string_view out;
  return object.at_pointer(path).get_string().get(out) == simdjson::SUCCESS ? out
                                                                            : std::string_view();
}

template <class T>
bool numbers(dom::element tree, std::string_view key, std::vector<T>& out) {
  dom::array values;
  if (tree[key].get_array().get(values) != simdjson::SUCCESS) return false;
  for (const auto value : values) {
    const auto found = number(value);
    if (!found) return false;
    out.push_back(static_cast<T>(*found));
  }
  return true;
}

bool by_categories(dom::element tree) {
  dom::array values;
  if (tree["split_type"].get_array().get(values) != simdjson::SUCCESS) return false;
  return std::ranges::any_of(values, [](dom::element one) { return number(one) != 0; });
}

std::optional<Tree> read_tree(dom::element from) {
  Tree out;
  const bool whole =
      numbers(from, "left_children", out.left) && numbers(from, "right_children", out.right) &&
      numbers(from, "split_indices", out.feature) && numbers(from, "split_conditions", out.value) &&
      numbers(from, "default_left", out.missing_left);
  if (!whole || by_categories(from)) return std::nullopt;
  return out;
}

// As XGBoost's own (common/math.h), where 1e-16 has no effect in single precision.
float logistic(float margin) { return 1.0F / (std::exp(std::min(-margin, 88.7F)) + 1.0F); }

void softmax(std::span<float> values) {
  const float most = std::ranges::max(values);
  double sum = 0;
  for (auto& value : values) {
    value = std::exp(value - most);
    sum += value;
  }
  for (auto& value : values) value /= static_cast<float>(sum);
}

// How many groups and iterations there are.
struct Layers {
  std::size_t groups = 1;
  std::size_t most = std::numeric_limits<std::size_t>::max();  // trees
};

Layers layers_of(dom::element root, std::size_t iterations) {
  Layers out;
  const auto at_least_one = [&](const char* path) {
    return static_cast<std::size_t>(std::max(number_at(root, path).value_or(1), 1.0));
  };
  out.groups = at_least_one("/learner/learner_model_param/num_class");
  const auto parallel =
      at_least_one("/learner/gradient_booster/model/gbtree_model_param/num_parallel_tree");
  if (iterations > 0) out.most = iterations * out.groups * parallel;
  return out;
}

std::optional<std::vector<Tree>> read_trees(dom::element root, std::size_t most) {
  dom::array trees;
  dom::array groups;
  const auto model = root.at_pointer("/learner/gradient_booster/model");
  if (model["trees"].get_array().get(trees) != simdjson::SUCCESS ||
      model["tree_info"].get_array().get(groups) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  std::vector<Tree> out;
  auto group = groups.begin();
  for (const auto one : trees) {
    if (out.size() == most) break;
    auto tree = read_tree(one);
    if (!tree || !(group != groups.end())) return std::nullopt;
    tree->group = static_cast<std::size_t>(number(*group).value_or(0));
    out.push_back(*std::move(tree));
    ++group;
  }
  return out;
}

// Rows by which two sums of trees can be told apart: of thresholds, of what lies next to them, and
// with missing values in one half.
std::vector<float> telling_rows(const std::vector<std::vector<float>>& thresholds) {
  std::mt19937 random(1);
  const auto below = [&](std::size_t count) { return random() % count; };
  std::vector<float> out(kRowsHeld * thresholds.size());
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto& own = thresholds[i % thresholds.size()];
    const float near = own.empty() ? static_cast<float>(below(100)) : own[below(own.size())];
    switch (below(8)) {
      case 0: out[i] = i < out.size() / 2 ? 0 : std::numeric_limits<float>::quiet_NaN(); break;
      case 1: out[i] = std::nextafter(near, -kInfinity); break;
      case 2: out[i] = std::nextafter(near, kInfinity); break;
      case 3: out[i] = near; break;
      case 4: out[i] = near * 2 + 1; break;
      case 5: out[i] = -near - 1; break;
      default: out[i] = near + (static_cast<float>(below(1000)) - 500) / 1000 * std::abs(near);
    }
  }
  return out;
}

}  // namespace

// Nothing for objectives that are not known here.
std::optional<XgboostTrees::Link> XgboostTrees::link_of(std::string_view objective) {
  if (objective == "binary:logistic" || objective == "reg:logistic") return Link::kLogistic;
  if (objective == "multi:softprob") return Link::kSoftmax;
  const bool plain = objective == "binary:logitraw" || objective == "reg:squarederror" ||
                     objective.starts_with("rank:");
  return plain ? std::optional(Link::kIdentity) : std::nullopt;
}

std::optional<XgboostTrees> XgboostTrees::read(std::string_view json, std::size_t iterations) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return std::nullopt;
  if (text_at(root, "/learner/gradient_booster/name") != "gbtree") return std::nullopt;
  const auto objective = text_at(root, "/learner/objective/name");
  const auto link = link_of(objective);
  const auto base = number_at(root, "/learner/learner_model_param/base_score");
  const auto features = number_at(root, "/learner/learner_model_param/num_feature");
  if (!link || !base || !features || *features < 1 || *features > kMostFeatures) {
    return std::nullopt;
  }
  const auto layers = layers_of(root, iterations);
  const auto trees = read_trees(root, layers.most);
  if (!trees) return std::nullopt;
  auto made = TreeEnsemble::make(*trees, static_cast<std::size_t>(*features), layers.groups);
  if (!made) return std::nullopt;
  auto first = static_cast<float>(*base);
  // It is said as the answer that it is before any tree.
  if (link == Link::kLogistic || objective == "binary:logitraw") {
    first = -std::log(1.0F / first - 1.0F);
  }
  return XgboostTrees(*std::move(made), *link, first);
}

void XgboostTrees::predict(std::span<const float> rows, std::span<float> answers) const {
  std::ranges::fill(answers, base_);
  trees_.add(rows, answers);
  if (link_ == Link::kLogistic) {
    for (auto& answer : answers) answer = logistic(answer);
  } else if (link_ == Link::kSoftmax) {
    const std::size_t width = groups();
    for (std::size_t at = 0; at < answers.size(); at += width) softmax(answers.subspan(at, width));
  }
}

bool XgboostTrees::agrees(const Library& library) const {
  const auto rows = telling_rows(trees_.thresholds());
  std::vector<float> own(kRowsHeld * groups());
  predict(rows, own);
  const auto wanted = library(rows);
  return std::ranges::equal(own, wanted, [](float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
  });
}

}  // namespace sluice::engines
