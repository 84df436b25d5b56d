// Pruning of gradient-boosted trees after training: splits that gained little, levels below a depth
// and rounds behind a number are taken away. A tree is pruned from its leaves up, as XGBoost's own
// `gamma` does it while it trains (Chen and Guestrin, "XGBoost", KDD 2016).

#include <algorithm>

#include "base/text.h"
#include "engines/xgboost_convert.h"
#include "tools/compress/builtin.h"
#include "tools/compress/model_file.h"
#include "tools/compress/stopped.h"
#include "tools/compress/tree_pruning.h"

namespace sluice::tools::compress {
namespace {

struct Settings {
  std::optional<double> min_gain;
  std::optional<std::int64_t> max_depth;
  std::optional<std::int64_t> keep_rounds;
  double share = 0.3;
  static const Schema<Settings>& schema() {
    static const auto kSchema =
        Schema<Settings>()
            .option<std::optional<double>>(
                "min_gain", &Settings::min_gain,
                "splits above leaves go that gained less (loss_changes); 0: none",
                [](const auto& gain) -> std::optional<std::string> {
                  if (!gain || (*gain >= 0 && *gain < 3e38)) return std::nullopt;
                  return "expected 0 or more";
                })
            .option<std::optional<std::int64_t>>("max_depth", &Settings::max_depth,
                                                 "splits above each other at most", at_least_one)
            .option<std::optional<std::int64_t>>("keep_rounds", &Settings::keep_rounds,
                                                 "only the first rounds of boosting stay",
                                                 at_least_one)
            .option<double>("share", &Settings::share,
                            "where nothing else is given, about this share of the splits goes, "
                            "those that gained least",
                            between(0.0, 0.99));
    return kSchema;
  }
  static std::optional<std::string> at_least_one(const std::optional<std::int64_t>& value) {
    if (!value || (*value >= 1 && *value <= 1'000'000)) return std::nullopt;
    return "expected 1 to 1000000";
  }
  bool bare() const { return !min_gain && !max_depth && !keep_rounds; }
};

std::uint64_t number_in(const FloatJson& map, const char* key, std::uint64_t otherwise) {
  const auto found = map.find(key);
  if (found == map.end()) return otherwise;
  if (found->is_string()) return parse_uint(found->get<std::string>()).value_or(otherwise);
  return found->is_number_unsigned() ? found->get<std::uint64_t>() : otherwise;
}

// The parts of a model that pruning looks at; XGBoost wrote it, yet anything may be missing.
struct Forest {
  FloatJson& learner;
  FloatJson& booster;
  FloatJson& model;
  FloatJson& trees;

  // Trees of the first `rounds` rounds.
  std::uint64_t first(std::uint64_t rounds) const {
    const auto starts = model.find("iteration_indptr");  // since XGBoost 2
    if (starts != model.end() && rounds < starts->size()) {
      return std::min<std::uint64_t>((*starts)[rounds].get<std::uint64_t>(), trees.size());
    }
    return std::min<std::uint64_t>(rounds * trees_per_round(), trees.size());
  }
  std::uint64_t rounds() const {
    const auto starts = model.find("iteration_indptr");
    if (starts != model.end() && !starts->empty()) return starts->size() - 1;
    return (trees.size() + trees_per_round() - 1) / trees_per_round();
  }
  std::uint64_t parallel() const {
    return std::max<std::uint64_t>(number_in(model["gbtree_model_param"], "num_parallel_tree", 1),
                                   1);
  }

 private:
  std::uint64_t trees_per_round() const {
    const auto& parameters = learner["learner_model_param"];
    const auto groups =
        std::max(number_in(parameters, "num_class", 0), number_in(parameters, "num_target", 1));
    return std::max<std::uint64_t>(groups, 1) * parallel();
  }
};

Result<Forest> forest_of(FloatJson& json) {
  auto& learner = json["learner"];
  auto& booster = learner["gradient_booster"];
  const auto name = booster.value("name", std::string());
  if (name == "gblinear") {
    return invalid("not_compressible",
                   "the model is linear (booster gblinear): it has no trees to prune");
  }
  auto& model = name == "dart" ? booster["gbtree"]["model"] : booster["model"];
  if (!model.is_object() || !model.contains("trees") || !model["trees"].is_array()) {
    return invalid("bad_model", "the model has no trees where XGBoost keeps them");
  }
  return Forest{learner, booster, model, model["trees"]};
}

void shorten(FloatJson& list, std::uint64_t size) {
  if (list.is_array() && list.size() > size) {
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(size), list.end());
  }
}

// Drops the rounds behind the first `rounds`; dart's weights are one for each tree.
void keep_rounds(Forest& forest, std::uint64_t rounds) {
  const auto trees = forest.first(rounds);
  const auto parallel = forest.parallel();
  if (trees >= forest.trees.size()) return;
  shorten(forest.trees, trees);
  shorten(forest.model["tree_info"], trees);
  if (forest.booster.contains("weight_drop")) shorten(forest.booster["weight_drop"], trees);
  if (forest.model.contains("iteration_indptr")) {
    shorten(forest.model["iteration_indptr"], rounds + 1);
  }
  forest.model["gbtree_model_param"]["num_trees"] = std::to_string(trees);
  auto& attributes = forest.learner["attributes"];
  if (number_in(attributes, "best_iteration", 0) < rounds) return;
  attributes["best_iteration"] = std::to_string(rounds - 1);
  if (attributes.contains("best_ntree_limit")) {
    attributes["best_ntree_limit"] = std::to_string(rounds * parallel);
  }
}

// The gain below which about this share of all splits lies.
Result<float> gain_at(const Forest& forest, double share) {
  std::vector<float> gains;
  for (const auto& tree : forest.trees) {
    SLUICE_TRY(const auto more, gains_of(tree));
    gains.insert(gains.end(), more.begin(), more.end());
  }
  if (gains.empty()) return 0.0F;
  const auto at =
      gains.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(gains.size()));
  std::ranges::nth_element(gains, at);
  return *at;
}

// Models that were made by hand or by converters may not say what their splits gained.
Result<void> check_gains(const Forest& forest) {
  for (const auto& tree : forest.trees) {
    SLUICE_TRY(const auto gains, gains_of(tree));
    if (std::ranges::any_of(gains, [](float gain) { return gain != 0; })) return {};
  }
  return invalid("not_compressible",
                 "the model does not say what its splits gained in training (loss_changes are all "
                 "0); prune it by `max_depth` or `keep_rounds`");
}

class PruneTrees final : public Method {
 public:
  std::string_view name() const override { return "prune-trees"; }
  std::string_view help() const override {
    return "splits and rounds of XGBoost's trees that add little are removed";
  }
  std::vector<std::string_view> takes() const override { return {".json", ".ubj"}; }
  std::vector<OptionInfo> settings() const override { return Settings::schema().describe(); }
  Result<void> check(const Node& settings) const override {
    return check_settings<Settings>(settings);
  }
  std::vector<std::string> variants() const override {
    return {"share=0.15", "share=0.3", "share=0.6"};
  }

  Result<Made> make(const Task& task) const override {
    SLUICE_TRY(const auto settings, read_settings<Settings>(task.settings));
    const auto directory = open_directory(task.from.parent_path());
    if (!directory) return Failure(directory.error());
    SLUICE_TRY(const auto fd, open_beneath(*directory, task.from.filename()));
    SLUICE_TRY(const auto contents, FileBytes::copy(fd, "the model file"));
    SLUICE_TRY(const auto text, engines::xgboost_as_json(contents.bytes()));
    SLUICE_TRY(auto json, read_model(text));
    SLUICE_TRY(auto forest, forest_of(json));
    Made out;
    SLUICE_CHECK(prune(forest, settings, task, out));
    const bool ubj = task.from.extension() == ".ubj";
    SLUICE_TRY(const auto bytes, engines::xgboost_from_json(write_model(json), ubj));
    out.file = task.to / (ubj ? "model.ubj" : "model.json");
    SLUICE_CHECK(write_model_file(out.file, bytes));
    return out;
  }

 private:
  static Result<void> prune(Forest& forest, const Settings& settings, const Task& task, Made& out) {
    const auto rounds = forest.rounds();
    const auto best = number_in(forest.learner["attributes"], "best_iteration", rounds) + 1;
    if (best < rounds) {
      out.notes.push_back("the model predicts with its first " + std::to_string(best) + " of " +
                          std::to_string(rounds) + " rounds (early stopping): `keep_rounds: " +
                          std::to_string(best) + "` drops the others without any change");
    }
    if (settings.keep_rounds) {
      keep_rounds(forest, static_cast<std::uint64_t>(*settings.keep_rounds));
    }
    TreeLimits limits;
    if (settings.max_depth) limits.max_depth = static_cast<int>(*settings.max_depth);
    limits.min_gain = static_cast<float>(settings.min_gain.value_or(0));
    if (limits.min_gain > 0 || settings.bare()) SLUICE_CHECK(check_gains(forest));
    if (settings.bare()) {
      SLUICE_TRY(limits.min_gain, gain_at(forest, settings.share));
    }
    SLUICE_TRY(const auto counts, prune_all(forest, limits, task, out));
    describe(forest, rounds, limits, counts, out);
    return {};
  }

  static Result<TreeCounts> prune_all(Forest& forest, const TreeLimits& limits, const Task& task,
                                      Made& out) {
    TreeCounts all;
    for (std::size_t i = 0; i < forest.trees.size(); ++i) {
      if (task.stop) return stopped();
      const auto name = "tree " + std::to_string(i);
      task.progress(name, static_cast<double>(i) / static_cast<double>(forest.trees.size()));
      SLUICE_TRY(const auto counts, prune_tree(forest.trees[i], limits));
      out.details["layers"].push_back({{"name", name},
                                       {"op", "tree"},
                                       {"splits_before", counts.splits_before},
                                       {"splits", counts.splits}});
      all.splits_before += counts.splits_before;
      all.splits += counts.splits;
    }
    return all;
  }

  static void describe(const Forest& forest, std::uint64_t rounds, const TreeLimits& limits,
                       const TreeCounts& counts, Made& out) {
    const auto now = forest.rounds();
    out.details["settings"] = {{"min_gain", limits.min_gain}};
    if (limits.max_depth) out.details["settings"]["max_depth"] = *limits.max_depth;
    out.details["rounds_before"] = rounds;
    out.details["rounds"] = now;
    out.details["splits_before"] = counts.splits_before;
    out.details["splits"] = counts.splits;
    if (now < rounds) {
      out.notes.push_back("the first " + std::to_string(now) + " of " + std::to_string(rounds) +
                          " rounds were kept");
    }
    out.notes.push_back(std::to_string(counts.splits_before - counts.splits) + " of " +
                        std::to_string(counts.splits_before) + " splits became leaves");
  }
};

}  // namespace

std::unique_ptr<const Method> make_prune_trees() { return std::make_unique<PruneTrees>(); }

}  // namespace sluice::tools::compress
