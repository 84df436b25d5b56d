#include "features/feast_answer.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/json_writer.h"
#include "base/text.h"
#include "features/convert.h"
#include "features/feast_keys.h"

namespace sluice::features {
namespace {

using nlohmann::json;

constexpr Unreadable kNested{"is neither a value nor a list of numbers or texts"};

Failure bad_answer(std::string_view store, const std::string& what) {
  return fail(Code::kFailedPrecondition, "bad_store",
              std::string(store) + " " + what + "; is it Feast's feature server?");
}

const json* member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// Null where there is no such list, or it is shorter.
const json* element(const json* list, std::size_t index) {
  return list && list->is_array() && index < list->size() ? &(*list)[index] : nullptr;
}

// A list of numbers, where null is a missing one, or of texts.
FeatureData list_of(const json& value) {
  const bool texts = !value.empty() && std::ranges::all_of(value, &json::is_string);
  if (texts) return value.get<std::vector<std::string>>();
  std::vector<double> out;
  for (const auto& one : value) {
    if (one.is_null()) {
      out.push_back(std::numeric_limits<double>::quiet_NaN());
    } else if (one.is_boolean()) {
      out.push_back(one.get<bool>() ? 1 : 0);
    } else if (one.is_number()) {
      out.push_back(one.get<double>());
    } else {
      return kNested;
    }
  }
  return out;
}

FeatureData value_of(const json& value) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (value.is_null()) return Null{};
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kMost) return value.get<double>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return value.is_array() ? list_of(value) : FeatureData(kNested);
}

// Statuses are names; in protobuf they are numbers.
bool is_status(const json* status, const char* name, int number) {
  if (!status) return false;
  if (status->is_string()) return status->get_ref<const std::string&>() == name;
  return status->is_number_integer() && status->get<std::int64_t>() == number;
}

// What the server sends back of a key.
bool is_key(const json* value, const EntityKey& key, std::string_view text) {
  if (!value) return false;
  if (value->is_string()) return value->get_ref<const std::string&>() == text;
  return key.type != KeyType::kText && value->is_number_integer() &&
         value->get<std::int64_t>() == parse_int(text);
}

// The answer, whichever of its two shapes it has.
class Answer {
 public:
  static Result<Answer> open(const json& body, std::string_view store, const FeatureLookup& lookup,
                             std::span<const EntityValues> entities) {
    const json* const metadata = member(body, "metadata");
    const json* names = metadata ? member(*metadata, "feature_names") : nullptr;
    // A protobuf that is written without Feast's own way of doing so has one level more.
    if (names && names->is_object()) names = member(*names, "val");
    const json* const results = member(body, "results");
    if (!names || !names->is_array() || !results || !results->is_array()) {
      return bad_answer(store, "answers without metadata.feature_names and results");
    }
    Answer out(*results);
    for (const auto& name : *names) {
      if (!name.is_string()) return bad_answer(store, "names a feature with something but a text");
      out.names_.push_back(name.get<std::string>());
    }
    const bool by_feature = out.has_shape(out.names_.size(), entities.size());
    const bool by_entity = out.has_shape(entities.size(), out.names_.size());
    if (!by_feature && !by_entity) {
      return bad_answer(store, "answers with another number of results than it was asked for");
    }
    out.by_feature_ = by_feature && (!by_entity || !out.keys_say_by_entity(lookup, entities));
    return out;
  }

  // Where a feature is: under its full name, or its own where no other that is wanted has it too.
  std::optional<std::size_t> find(const FeastName& name, bool unique) const {
    for (const auto& written : {name.view + "__" + name.feature, name.view + ":" + name.feature}) {
      if (const auto at = index_of(written)) return at;
    }
    return unique ? index_of(name.feature) : std::nullopt;
  }

  // Absent where it is not found.
  FeatureValue value(std::size_t feature, std::size_t entity) const {
    const auto& result = results_[by_feature_ ? feature : entity];
    const std::size_t at = by_feature_ ? entity : feature;
    const json* const status = element(member(result, "statuses"), at);
    if (is_status(status, "NOT_FOUND", 3)) return {};
    FeatureValue out{Null{}, time_of(element(member(result, "event_timestamps"), at))};
    const json* const value = element(member(result, "values"), at);
    if (value && !is_status(status, "NULL_VALUE", 2)) out.data = value_of(*value);
    return out;
  }

 private:
  explicit Answer(const json& results) : results_(results) {}

  bool has_shape(std::size_t outer, std::size_t inner) const {
    if (results_.size() != outer) return false;
    return std::ranges::all_of(results_, [&](const json& result) {
      const json* const values = member(result, "values");
      // An empty list may be left out.
      return values ? values->is_array() && values->size() == inner : inner == 0;
    });
  }

  bool keys_say_by_entity(const FeatureLookup& lookup,
                          std::span<const EntityValues> entities) const {
    bool by_feature = true;
    bool by_entity = true;
    for (std::size_t k = 0; k < lookup.keys.size(); ++k) {
      const auto at = index_of(lookup.keys[k].name);
      if (!at) continue;
      for (std::size_t i = 0; i < entities.size(); ++i) {
        const auto sent = [&](std::size_t outer, std::size_t inner) {
          return is_key(element(member(results_[outer], "values"), inner), lookup.keys[k],
                        entities[i][k]);
        };
        by_feature = by_feature && sent(*at, i);
        by_entity = by_entity && sent(i, *at);
      }
    }
    return by_entity && !by_feature;
  }

  std::optional<std::size_t> index_of(std::string_view name) const {
    const auto at = std::ranges::find(names_, name);
    if (at == names_.end()) return std::nullopt;
    return static_cast<std::size_t>(at - names_.begin());
  }

  // 1970 is how the server writes that it has none.
  static std::int64_t time_of(const json* time) {
    if (!time || !time->is_string()) return 0;
    return parse_time(time->get_ref<const std::string&>()).value_or(0);
  }

  const json& results_;
  std::vector<std::string> names_;
  bool by_feature_ = true;
};

}  // namespace

Result<std::string> feast_question(const FeatureLookup& lookup,
                                   std::span<const EntityValues> entities) {
  std::string out;
  JsonWriter writer(out);
  writer.begin_object().key("features").begin_array();
  for (const auto& feature : lookup.features) writer.value(std::string_view(feature.name));
  writer.end_array().field("full_feature_names", true).key("entities").begin_object();
  for (std::size_t k = 0; k < lookup.keys.size(); ++k) {
    const auto& key = lookup.keys[k];
    writer.key(key.name).begin_array();
    for (const auto& entity : entities) {
      if (key.type == KeyType::kText) {
        writer.value(entity[k]);
      } else {
        SLUICE_TRY(const auto number, key_number(entity[k], key));
        writer.value(number);
      }
    }
    writer.end_array();
  }
  writer.end_object().end_object();
  return out;
}

Result<void> read_feast_answer(std::string_view body, std::string_view store,
                               const FeatureLookup& lookup, std::span<const EntityValues> entities,
                               std::span<FeatureRow> rows) {
  const json parsed = json::parse(body, nullptr, false);
  if (parsed.is_discarded()) return bad_answer(store, "does not answer with JSON");
  SLUICE_TRY(const auto answer, Answer::open(parsed, store, lookup, entities));
  std::vector<FeastName> names;
  for (const auto& feature : lookup.features) {
    SLUICE_TRY(auto name, parse_feast_name(feature.name));
    names.push_back(std::move(name));
  }
  for (auto& row : rows) row.values.resize(names.size());
  for (std::size_t f = 0; f < names.size(); ++f) {
    const bool unique = std::ranges::none_of(names, [&](const FeastName& other) {
      return other.feature == names[f].feature && other.view != names[f].view;
    });
    const auto at = answer.find(names[f], unique);
    if (!at) {
      return bad_answer(store,
                        "answers without the feature '" + printable(lookup.features[f].name) + "'");
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto& value = rows[i].values[f];
      value = answer.value(*at, i);
      if (std::holds_alternative<Absent>(value.data)) continue;
      rows[i].known = true;
      value.data = coerce(std::move(value.data), lookup.features[f].type);
    }
  }
  return {};
}

}  // namespace sluice::features
