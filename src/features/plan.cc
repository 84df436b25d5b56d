#include "features/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/hash.h"
#include "base/text.h"
#include "features/plan_columns.h"

namespace sluice::features {
namespace {

Failure bad(const std::string& what) { return invalid("bad_config", "features: " + what); }

std::vector<std::string> inputs_of(const FeatureDefinition& each) {
  if (!each.ratio.empty()) return each.ratio;
  if (!each.difference.empty()) return each.difference;
  for (const auto* one : {&each.bucket, &each.log, &each.age}) {
    if (!one->empty()) return {*one};
  }
  return {};
}

Recipe::Kind kind_of(const FeatureDefinition& each) {
  if (!each.ratio.empty()) return Recipe::Kind::kRatio;
  if (!each.difference.empty()) return Recipe::Kind::kDifference;
  if (!each.bucket.empty()) return Recipe::Kind::kBucket;
  return each.log.empty() ? Recipe::Kind::kAge : Recipe::Kind::kLog;
}

double seconds_of(const std::string& unit) {
  if (unit == "minutes") return 60;
  if (unit == "hours") return 3600;
  return unit == "days" ? 86400 : 1;
}

// Puts the names in order: what is fetched, then what is made, each behind what it is made of.
class Planner {
 public:
  Planner(const FeatureOptions& options, Plan& out) : options_(options), out_(out) {
    for (const auto& each : options.define) defined_[each.name] = &each;
  }

  Result<void> run() {
    for (const auto& name : options_.names) SLUICE_CHECK(visit(name, 0));
    for (const auto& [name, definition] : defined_) {
      if (!visited_.contains(name)) {
        return bad("'" + printable(name) + "' is defined and used by nothing; put it into names");
      }
    }
    for (const auto& name : fetched_) SLUICE_CHECK(add_source(name));
    for (const auto& name : made_) add_recipe(name);
    return {};
  }

 private:
  const FeatureDefinition* definition_of(const std::string& name) const {
    const auto found = defined_.find(name);
    return found == defined_.end() ? nullptr : found->second;
  }

  Result<void> visit(const std::string& name, std::size_t depth) {
    if (visited_.contains(name)) return {};
    const FeatureDefinition* definition = definition_of(name);
    const auto inputs = definition == nullptr ? std::vector<std::string>() : inputs_of(*definition);
    if (depth > defined_.size()) {
      return bad("'" + printable(name) + "' is made of itself, by way of others");
    }
    for (const auto& input : inputs) SLUICE_CHECK(visit(input, depth + 1));
    if (!visited_.insert(name).second) return {};
    (inputs.empty() ? fetched_ : made_).push_back(name);
    return {};
  }

  Result<std::vector<std::size_t>> keys_of(const FeatureDefinition* definition) const {
    std::vector<std::size_t> out;
    const auto& keys = options_.entity.list;
    if (definition == nullptr || definition->entity.empty()) {
      for (std::size_t i = 0; i < keys.size(); ++i) out.push_back(i);
      return out;
    }
    for (const auto& name : definition->entity) {
      const auto found = std::ranges::find(keys, name, &EntityKey::name);
      if (found == keys.end()) {
        return bad("'" + printable(definition->name) + "' is kept by '" + printable(name) +
                   "', which features.entity does not have");
      }
      out.push_back(static_cast<std::size_t>(found - keys.begin()));
    }
    return out;
  }

  Result<void> add_source(const std::string& name) {
    const FeatureDefinition* definition = definition_of(name);
    SLUICE_TRY(auto keys, keys_of(definition));
    const auto found = std::ranges::find(out_.key_places, keys);
    const auto lookup = static_cast<std::size_t>(found - out_.key_places.begin());
    if (found == out_.key_places.end()) {
      auto& made = out_.lookups.emplace_back();
      for (const auto key : keys) made.keys.push_back(options_.entity.list[key]);
      out_.key_places.push_back(std::move(keys));
    }
    Source source;
    source.lookup = lookup;
    auto max_age = options_.max_age;
    std::string from = name;
    if (definition != nullptr) {
      if (!definition->from.empty()) from = definition->from;
      if (definition->max_age) max_age = definition->max_age;
      if (definition->fallback) source.fallback = definition->fallback->data;
      if (definition->type) source.type = *definition->type;
    }
    typed_.push_back(definition != nullptr && definition->type.has_value());
    if (max_age) source.max_age_ns = std::chrono::nanoseconds(*max_age).count();
    auto& features = out_.lookups[lookup].features;
    source.place = features.size();
    features.push_back({from, source.type});
    out_.sources.push_back(std::move(source));
    out_.names.push_back(name);
    return {};
  }

  std::size_t place_of(const std::string& name) const {
    return static_cast<std::size_t>(std::ranges::find(out_.names, name) - out_.names.begin());
  }

  void add_recipe(const std::string& name) {
    const FeatureDefinition& definition = *definition_of(name);
    const auto inputs = inputs_of(definition);
    Recipe recipe;
    recipe.kind = kind_of(definition);
    recipe.first = place_of(inputs[0]);
    recipe.second = place_of(inputs.back());
    recipe.edges = definition.edges;
    recipe.unit_seconds = seconds_of(definition.unit);
    if (definition.fallback) recipe.fallback = definition.fallback->data;
    // A time that a store keeps as a text is to be read as one.
    const bool of_time = recipe.kind == Recipe::Kind::kAge && recipe.first < out_.sources.size();
    if (of_time && !typed_[recipe.first]) retype(recipe.first, FeatureType::kTime);
    out_.names.push_back(name);
    out_.recipes.push_back(std::move(recipe));
  }

 public:
  // Text columns take texts, where nothing else was said.
  void type_columns(const Signature& signature) {
    for (const auto& column : out_.columns) {
      const bool text = signature.inputs[column.input].dtype == DType::kString;
      const bool fetched = column.feature < out_.sources.size();
      if (text && fetched && !typed_[column.feature]) retype(column.feature, FeatureType::kText);
    }
  }

 private:
  void retype(std::size_t source, FeatureType type) {
    out_.sources[source].type = type;
    out_.lookups[out_.sources[source].lookup].features[out_.sources[source].place].type = type;
  }

  const FeatureOptions& options_;
  Plan& out_;
  std::map<std::string, const FeatureDefinition*, std::less<>> defined_;
  std::set<std::string, std::less<>> visited_;
  std::vector<std::string> fetched_;
  std::vector<std::string> made_;
  std::vector<bool> typed_;  // of each source: model.yaml says its type
};

// Of all that decides what becomes of a row, where that is the row alone.
std::uint64_t id_of(const Plan& plan, const Signature& signature) {
  const bool texts = std::ranges::any_of(
      signature.inputs, [](const TensorSpec& spec) { return spec.dtype == DType::kString; });
  if (plan.lookups.size() != 1 || !plan.recipes.empty() || texts) return 0;
  std::string text;
  for (const auto& name : signature.columns) text += name + '\0';
  for (const auto& spec : signature.inputs) {
    text += spec.name + '\0' + std::string(name_of(spec.dtype)) + show_shape(spec.dims) + '\0';
  }
  for (const auto& column : plan.columns) {
    const Source& source = plan.sources[column.feature];
    text += plan.lookups[0].features[source.place].name + '\0';
    text += std::to_string(source.max_age_ns) + ',' + std::to_string(column.width) + '\0';
    // Defaults may differ between models.
    if (source.fallback) return 0;
  }
  const auto hash = hash64(text);
  return hash == 0 ? 1 : hash;
}

}  // namespace

Result<void> check_options(const FeatureOptions& options) {
  if (options.names.empty()) return bad("names is empty; list the features in the input's order");
  Plan ignored;
  return Planner(options, ignored).run();
}

Result<Plan> Plan::make(const FeatureOptions& options, Signature& signature,
                        bool columns_declared) {
  SLUICE_CHECK(check_options(options));
  Plan out;
  out.options = options;
  Planner planner(options, out);
  SLUICE_CHECK(planner.run());
  SLUICE_CHECK(place_columns(out, signature, columns_declared));
  planner.type_columns(signature);
  out.has_ages = std::ranges::any_of(out.sources,
                                     [](const Source& source) { return source.max_age_ns > 0; }) ||
                 std::ranges::any_of(out.recipes, [](const Recipe& recipe) {
                   return recipe.kind == Recipe::Kind::kAge;
                 });
  out.id = id_of(out, signature);
  return out;
}

}  // namespace sluice::features
