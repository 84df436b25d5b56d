#include "core/feature_config.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/names.h"
#include "base/text.h"

namespace sluice {

SLUICE_OPTION_TYPE(DefaultValue)
SLUICE_OPTION_TYPE(EntityKey)
SLUICE_OPTION_TYPE(EntityKeys)

template <>
struct OptionType<StaleAction> : WordOption<StaleAction, OptionType<StaleAction>> {
  static constexpr std::array<std::pair<std::string_view, StaleAction>, 2> kWords = {
      {{"warn", StaleAction::kWarn}, {"reject", StaleAction::kReject}}};
};
template <>
struct OptionType<UnknownAction> : WordOption<UnknownAction, OptionType<UnknownAction>> {
  static constexpr std::array<std::pair<std::string_view, UnknownAction>, 2> kWords = {
      {{"reject", UnknownAction::kReject}, {"default", UnknownAction::kDefault}}};
};
template <>
struct OptionType<UnavailableAction>
    : WordOption<UnavailableAction, OptionType<UnavailableAction>> {
  static constexpr std::array<std::pair<std::string_view, UnavailableAction>, 3> kWords = {
      {{"reject", UnavailableAction::kReject},
       {"default", UnavailableAction::kDefault},
       {"stale", UnavailableAction::kStale}}};
};
template <>
struct OptionType<FeatureType> : WordOption<FeatureType, OptionType<FeatureType>> {
  static constexpr std::array<std::pair<std::string_view, FeatureType>, 4> kWords = {
      {{"number", FeatureType::kNumber},
       {"text", FeatureType::kText},
       {"boolean", FeatureType::kBoolean},
       {"time", FeatureType::kTime}}};
};
template <>
struct OptionType<KeyType> : WordOption<KeyType, OptionType<KeyType>> {
  static constexpr std::array<std::pair<std::string_view, KeyType>, 3> kWords = {
      {{"string", KeyType::kText}, {"int32", KeyType::kInt32}, {"int64", KeyType::kInt64}}};
};

std::string OptionType<DefaultValue>::name() { return "number | true | false | text | null"; }
std::string OptionType<DefaultValue>::show(const DefaultValue&) { return "given"; }
void OptionType<DefaultValue>::read(const Node& node, DefaultValue& value, Problems& problems) {
  value.data = Null{};
  if (node.kind == Node::Kind::kNull) return;
  if (!expect_scalar(node, name(), problems)) return;
  if (const auto integer = parse_int(node.scalar)) {
    value.data = *integer;
  } else if (const auto real = parse_double(node.scalar)) {
    value.data = *real;
  } else if (node.scalar == "true" || node.scalar == "false") {
    value.data = node.scalar == "true";
  } else {
    value.data = node.scalar;
  }
}

// A name, or a name and its type.
std::string OptionType<EntityKey>::name() { return "name | {name, type}"; }
std::string OptionType<EntityKey>::show(const EntityKey& value) { return value.name; }
void OptionType<EntityKey>::read(const Node& node, EntityKey& value, Problems& problems) {
  static const auto kSchema =
      Schema<EntityKey>()
          .option("name", &EntityKey::name, "as requests and the store call it")
          .option("type", &EntityKey::type, "of its values");
  if (node.kind == Node::Kind::kScalar) {
    value.name = node.scalar;
  } else {
    kSchema.read(node, value, problems);
  }
  if (value.name.empty()) report(problems, node.place, "a key needs a name");
}

std::string OptionType<EntityKeys>::name() { return "name | list of name | {name, type}"; }
std::string OptionType<EntityKeys>::show(const EntityKeys& value) {
  return value.list.size() == 1 ? value.list[0].name : "given";
}
void OptionType<EntityKeys>::read(const Node& node, EntityKeys& value, Problems& problems) {
  if (node.kind == Node::Kind::kList) {
    OptionType<std::vector<EntityKey>>::read(node, value.list, problems);
  } else {
    value.list.assign(1, {});
    OptionType<EntityKey>::read(node, value.list[0], problems);
  }
}

namespace {

std::optional<std::string> keys_problem(const EntityKeys& keys) {
  std::set<std::string_view> seen;
  for (const auto& key : keys.list) {
    if (!seen.insert(key.name).second) return "key '" + printable(key.name) + "' is given twice";
  }
  if (!keys.list.empty() && keys.list.size() <= 16) return std::nullopt;
  return "an entity has 1 to 16 keys";
}

std::optional<std::string> pair_of_names(const std::vector<std::string>& names) {
  if (names.size() == 2 && !names[0].empty() && !names[1].empty()) return std::nullopt;
  return "write two features, such as [spent, income]";
}

std::optional<std::string> ascending(const std::vector<double>& edges) {
  for (std::size_t i = 1; i < edges.size(); ++i) {
    if (!(edges[i] > edges[i - 1])) return "write numbers, each larger than the one before";
  }
  return std::nullopt;
}

std::optional<std::string> unit_of_time(const std::string& unit) {
  constexpr std::array<std::string_view, 4> kUnits = {"seconds", "minutes", "hours", "days"};
  if (std::ranges::find(kUnits, unit) != kUnits.end()) return std::nullopt;
  return "'" + printable(unit) + "' is not one of seconds, minutes, hours and days";
}

std::optional<std::string> names_once(const std::vector<std::string>& names) {
  std::set<std::string_view> seen;
  for (const auto& name : names) {
    if (name.empty()) return "a feature needs a name";
    if (!seen.insert(name).second) return "feature '" + printable(name) + "' is given twice";
  }
  return std::nullopt;
}

std::optional<std::string> definition_problem(const FeatureDefinition& each) {
  if (each.name.empty()) return "a definition needs a name";
  const std::string who = "feature '" + printable(each.name) + "'";
  const int made = static_cast<int>(!each.ratio.empty()) +
                   static_cast<int>(!each.difference.empty()) +
                   static_cast<int>(!each.bucket.empty()) + static_cast<int>(!each.log.empty()) +
                   static_cast<int>(!each.age.empty());
  if (made > 1)
    return who + " is made in two ways; keep one of ratio, difference, bucket, log, age";
  const bool fetched = !each.from.empty() || !each.entity.empty() || each.type || each.max_age;
  if (made == 1 && fetched) {
    return who + " is made of others, so it has no from, entity, type or max_age of its own";
  }
  if (each.bucket.empty() != each.edges.empty()) return who + ": bucket and edges belong together";
  return std::nullopt;
}

std::optional<std::string> definitions_problem(const std::vector<FeatureDefinition>& all) {
  std::set<std::string_view> seen;
  for (const auto& each : all) {
    if (auto wrong = definition_problem(each)) return wrong;
    if (!seen.insert(each.name).second) {
      return "feature '" + printable(each.name) + "' is defined twice";
    }
  }
  return std::nullopt;
}

}  // namespace

const Schema<FeatureDefinition>& FeatureDefinition::schema() {
  using D = FeatureDefinition;
  static const auto kSchema =
      Schema<D>()
          .option("name", &D::name, "of the feature")
          .option("from", &D::from, "what the store calls it, else its name; in Feast view:feature")
          .option("entity", &D::entity, "the keys that it is kept by; else all")
          .option("type", &D::type, "what a value must be; else what the model takes")
          .option("default", &D::fallback, "for a feature that is missing or null")
          .option("max_age", &D::max_age, "an older value is stale; else features.max_age")
          .option("ratio", &D::ratio, "made on demand: the first through the second",
                  {pair_of_names})
          .option("difference", &D::difference, "made on demand: the first without the second",
                  {pair_of_names})
          .option("bucket", &D::bucket, "made on demand: how many of `edges` it has reached")
          .option("edges", &D::edges, "of its buckets, ascending", {ascending})
          .option("log", &D::log, "made on demand: its natural logarithm")
          .option("age", &D::age, "made on demand: the time from it until now")
          .option("unit", &D::unit, "of `age`: seconds | minutes | hours | days", {unit_of_time});
  return kSchema;
}

const Schema<FeatureOptions>& FeatureOptions::schema() {
  using F = FeatureOptions;
  const Millis year(31'536'000'000);
  static const auto kSchema =
      Schema<F>()
          .option("store", &F::store, "feature store that is asked")
          .option("names", &F::names, "features, in the order of the input", {names_once})
          .option("entity", &F::entity, "keys of an entity, each a name or {name, type}",
                  {keys_problem})
          .option("ttl", &F::ttl, "how long a fetched value may be used again",
                  {between(Millis(0), year)})
          .option("negative_ttl", &F::negative_ttl,
                  "how long an entity that was not there is not asked for again",
                  {between(Millis(0), year)})
          .option("timeout", &F::timeout, "how long a request may wait for its features",
                  {between(Millis(1), Millis(60'000))})
          .option("max_age", &F::max_age, "features that are older are stale")
          .option("stale", &F::stale, "what stale features get")
          .option("unknown", &F::unknown, "what an entity that is not there gets: 404, or defaults")
          .option("unavailable", &F::unavailable,
                  "without the store in time: 504, defaults, or values from before their ttl")
          .option("max_entities", &F::max_entities, "most rows of a request by entity",
                  {between<std::int64_t>(1, 1'000'000)})
          .option("define", &F::define, "where features come from and what they are made of",
                  {definitions_problem});
  return kSchema;
}

}  // namespace sluice
