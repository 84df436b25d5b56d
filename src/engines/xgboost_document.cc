#include "engines/xgboost_document.h"

#include <fmt/format.h>

#include <array>
#include <bitset>
#include <limits>

#include "base/text.h"
#include "engines/xgboost_walk.h"

namespace sluice::engines {
namespace {

// Where in the schema something is. Those from kTree on are there once in each tree.
enum class Place : std::uint8_t {
  kOther,
  kRoot,
  kLearner,
  kParam,
  kFeatures,
  kClasses,
  kTargets,
  kBaseScore,
  kObjective,
  kSoftmax,
  kObjectiveClasses,
  kAttributes,
  kBest,
  kBooster,
  kName,
  kGbtree,
  kModel,
  kModelParam,
  kTreesSaid,
  kParallel,
  kGroups,
  kWeights,
  kDropped,
  kTrees,
  kTree,
  kId,
  kTreeParam,
  kNodes,
  kLeft,
  kRight,
  kParents,
  kFeature,
  kKinds,
  kBegins,
  kCounts,
  kCategoryNodes,
  kCategories,
  kEnd
};

struct Way {
  Place from;
  std::string_view name;
  Place to;
};

constexpr Way kWays[] = {
    {Place::kRoot, "learner", Place::kLearner},
    {Place::kLearner, "attributes", Place::kAttributes},
    {Place::kAttributes, "best_iteration", Place::kBest},
    {Place::kLearner, "learner_model_param", Place::kParam},
    {Place::kParam, "num_feature", Place::kFeatures},
    {Place::kParam, "num_class", Place::kClasses},
    {Place::kParam, "num_target", Place::kTargets},
    {Place::kParam, "base_score", Place::kBaseScore},
    {Place::kLearner, "objective", Place::kObjective},
    {Place::kObjective, "softmax_multiclass_param", Place::kSoftmax},
    {Place::kSoftmax, "num_class", Place::kObjectiveClasses},
    {Place::kLearner, "gradient_booster", Place::kBooster},
    {Place::kBooster, "name", Place::kName},
    {Place::kBooster, "gbtree", Place::kGbtree},
    {Place::kBooster, "model", Place::kModel},
    {Place::kGbtree, "model", Place::kModel},
    {Place::kBooster, "weight_drop", Place::kDropped},
    {Place::kModel, "gbtree_model_param", Place::kModelParam},
    {Place::kModelParam, "num_trees", Place::kTreesSaid},
    {Place::kModelParam, "num_parallel_tree", Place::kParallel},
    {Place::kModel, "tree_info", Place::kGroups},
    {Place::kModel, "weights", Place::kWeights},
    {Place::kModel, "trees", Place::kTrees},
    {Place::kTree, "id", Place::kId},
    {Place::kTree, "tree_param", Place::kTreeParam},
    {Place::kTreeParam, "num_nodes", Place::kNodes},
    {Place::kTree, "left_children", Place::kLeft},
    {Place::kTree, "right_children", Place::kRight},
    {Place::kTree, "parents", Place::kParents},
    {Place::kTree, "split_indices", Place::kFeature},
    {Place::kTree, "split_type", Place::kKinds},
    {Place::kTree, "categories_segments", Place::kBegins},
    {Place::kTree, "categories_sizes", Place::kCounts},
    {Place::kTree, "categories_nodes", Place::kCategoryNodes},
    {Place::kTree, "categories", Place::kCategories},
};

Place way_from(Place from, std::string_view name) {
  if (from == Place::kOther) return Place::kOther;
  for (const auto& way : kWays) {
    if (way.from == from && way.name == name) return way.to;
  }
  return Place::kOther;
}

class Reader final : public XgboostEvents {
 public:
  // Nothing: all is well so far.
  Result<XgboostParts> finish(std::size_t size) {
    SLUICE_CHECK(problem_);
    if (!seen_.test(static_cast<std::size_t>(Place::kLearner))) {
      return invalid(
          "bad_model",
          "it is no XGBoost model: it has no object 'learner', as what Booster.save_model "
          "writes has; what dump_model writes, and configurations, cannot be served");
    }
    SLUICE_CHECK(check_parts(parts_, size));
    return std::move(parts_);
  }

  void begin(bool object) override {
    const auto at = place(true);
    open_.push_back({at, object});
    if (at == Place::kTree && object) {
      tree_.clear();
      for (auto i = static_cast<std::size_t>(Place::kTree); i < seen_.size(); ++i) seen_.reset(i);
    }
    if (at == Place::kKinds && !object) tree_.kinds.emplace();
    if (at == Place::kWeights && !object) parts_.has_weights = true;
  }

  void end() override {
    const Open was = open_.back();
    open_.pop_back();
    if (was.at == Place::kTree && was.object) keep(add_sound_tree(tree_, parts_));
  }

  // XGBoost takes the first of two in UBJSON, and the second in JSON.
  void key(std::string_view name) override {
    auto& top = open_.back();
    top.next = way_from(top.at, name);
    const auto at = static_cast<std::size_t>(top.next);
    if (top.next != Place::kOther && seen_.test(at)) {
      keep(damaged_xgboost(fmt::format("'{}' is there twice", name)));
    }
    seen_.set(at);
  }

  void text(std::string_view value) override {
    if (const auto number = setting()) {
      *number = parse_int(value);
      if (!*number) keep(damaged_xgboost(fmt::format("'{}' is no number", printable(value, 30))));
    } else if (place(false) == Place::kBest) {
      parts_.best_iteration = read_best_iteration(value);
    } else if (place(false) == Place::kName) {
      parts_.booster = value;
    } else if (place(false) == Place::kBaseScore && value.starts_with('[')) {
      keep(
          invalid("bad_model",
                  "the model was saved by XGBoost 3.1 or newer, which writes base_score as a list; "
                  "save it with an older one"));
    } else {
      no_number();
    }
  }

  void whole(std::int64_t value) override {
    const auto at = place(false);
    if (at == Place::kWeights) ++parts_.weights;
    if (at == Place::kDropped) ++parts_.dropped;
    auto* const values = list(at);
    if (values == nullptr) return;
    if (value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max()) {
      return keep(damaged_xgboost(fmt::format("{} is out of range", value)));
    }
    values->push_back(static_cast<std::int32_t>(value));
  }

  void others(std::size_t count) override {
    const auto at = place(false);
    if (at == Place::kWeights) parts_.weights += count;
    if (at == Place::kDropped) parts_.dropped += count;
    if (count > 0) no_number();
  }

 private:
  struct Open {
    Place at;
    bool object;
    Place next = Place::kOther;  // of an object: where its value is
  };

  void keep(Result<void> outcome) {
    if (problem_ && !outcome) problem_ = std::move(outcome);
  }

  // Of what comes now. In a list of numbers: the list's, and nowhere for another list in it.
  Place place(bool container) const {
    if (open_.empty()) return Place::kRoot;
    const auto& top = open_.back();
    if (top.object) return top.next;
    if (top.at == Place::kTrees) return Place::kTree;
    return container ? Place::kOther : top.at;
  }

  // XGBoost's settings are texts.
  std::optional<std::int64_t>* setting() {
    if (open_.empty() || !open_.back().object) return nullptr;
    switch (open_.back().next) {
      case Place::kFeatures: return &parts_.features;
      case Place::kClasses: return &parts_.classes;
      case Place::kTargets: return &parts_.targets;
      case Place::kObjectiveClasses: return &parts_.objective_classes;
      case Place::kTreesSaid: return &parts_.trees_said;
      case Place::kParallel: return &parts_.parallel;
      case Place::kNodes: return &tree_.nodes;
      default: return nullptr;
    }
  }

  // Where whole numbers of a place go; nothing: nowhere.
  std::vector<std::int32_t>* list(Place at) {
    switch (at) {
      case Place::kGroups: return &parts_.groups;
      case Place::kId: return &parts_.ids;
      case Place::kLeft: return &tree_.left;
      case Place::kRight: return &tree_.right;
      case Place::kParents: return &tree_.parents;
      case Place::kFeature: return &tree_.feature;
      case Place::kKinds: return tree_.kinds ? &*tree_.kinds : nullptr;
      case Place::kBegins: return &tree_.category_begins;
      case Place::kCounts: return &tree_.category_counts;
      case Place::kCategoryNodes: return &tree_.category_nodes;
      case Place::kCategories: return &tree_.categories;
      default: return nullptr;
    }
  }

  // Something else is where whole numbers should be.
  void no_number() {
    if (list(place(false)) != nullptr) {
      keep(damaged_xgboost("there is something else in a list of whole numbers"));
    }
  }

  XgboostParts parts_;
  XgboostTree tree_;
  std::vector<Open> open_;
  std::bitset<static_cast<std::size_t>(Place::kEnd)> seen_;
  Result<void> problem_;
};

}  // namespace

Result<XgboostParts> check_xgboost_document(std::string_view bytes, bool ubjson) {
  Reader reader;
  SLUICE_CHECK(ubjson ? walk_xgboost_ubjson(bytes, reader) : walk_xgboost_json(bytes, reader));
  return reader.finish(bytes.size());
}

}  // namespace sluice::engines
