#include "codecs/entity_reader.h"

#include <algorithm>
#include <string>

#include "base/text.h"
#include "codecs/json_object.h"

namespace sluice::codecs {
namespace {

constexpr std::size_t kMaxKey = 1024;  // bytes of an entity's value

// Numbers of keys may be written without quotes.
Result<std::string_view> read_value(od::value value, std::string_view name, Arena& arena) {
  od::json_type type{};
  if (auto error = value.type().get(type)) return not_json(simdjson::error_message(error));
  if (type == od::json_type::number) {
    std::int64_t number = 0;
    if (value.get_int64().get(number) == simdjson::SUCCESS) {
      return arena.copy(std::to_string(number));
    }
    SLUICE_CHECK(visit(value));
    return invalid("bad_entity", "'" + printable(name) + "' must be a text or a whole number");
  }
  if (type != od::json_type::string) {
    SLUICE_CHECK(visit(value));
    return invalid("bad_entity", "'" + printable(name) +
                                     "' must be a text or a whole number, not " +
                                     std::string(kind_of(value)));
  }
  SLUICE_TRY(const auto text, read_string(value, name));
  if (text.empty() || text.size() > kMaxKey) {
    return invalid("bad_entity", "'" + printable(name) + "' must have 1 to " +
                                     std::to_string(kMaxKey) + " bytes");
  }
  return arena.copy(text);
}

Result<FeatureData> read_number(od::value value, std::string_view name) {
  od::number number;
  if (value.get_number().get(number)) {  // an integer that is too large for one
    SLUICE_TRY(const double real, read_double(value, name));
    return FeatureData(real);
  }
  if (number.is_int64()) return FeatureData(number.get_int64());
  return FeatureData(number.as_double());
}

Result<FeatureData> read_list(od::value value, std::string_view name) {
  std::vector<double> numbers;
  std::vector<std::string> texts;
  SLUICE_CHECK(for_each_element(value, name, [&](od::value element) -> Result<void> {
    std::string_view text;
    if (element.get_string().get(text) == simdjson::SUCCESS) {
      texts.emplace_back(text);
      return {};
    }
    SLUICE_TRY(const double number, read_double(element, name));
    numbers.push_back(number);
    return {};
  }));
  if (!texts.empty() && !numbers.empty()) {
    return invalid("wrong_type", "feature '" + printable(name) + "' has texts and numbers");
  }
  if (!texts.empty()) return FeatureData(std::move(texts));
  return FeatureData(std::move(numbers));
}

Result<FeatureData> read_feature(od::value value, std::string_view name) {
  od::json_type type{};
  if (auto error = value.type().get(type)) return not_json(simdjson::error_message(error));
  switch (type) {
    case od::json_type::null: SLUICE_CHECK(visit(value)); return FeatureData(Null{});
    case od::json_type::boolean: {
      SLUICE_TRY(const bool truth, read_bool(value, name));
      return FeatureData(truth);
    }
    case od::json_type::number: return read_number(value, name);
    case od::json_type::string: {
      SLUICE_TRY(const auto text, read_string(value, name));
      return FeatureData(std::string(text));
    }
    case od::json_type::array: return read_list(value, name);
    default: break;
  }
  SLUICE_CHECK(visit(value));
  return invalid("wrong_type",
                 "feature '" + printable(name) + "' must be a value or a list of them");
}

}  // namespace

Result<void> EntityReader::count_row(std::size_t& rows) const {
  if (++rows <= fetched_.most_rows) return {};
  return invalid("too_many_rows", "a request by entity has at most " +
                                      std::to_string(fetched_.most_rows) +
                                      " rows (features.max_entities); send several, or use "
                                      "sluice batch");
}

Result<void> EntityReader::read_entities(od::value value) {
  od::json_type type{};
  if (auto error = value.type().get(type)) return not_json(simdjson::error_message(error));
  if (type != od::json_type::array) {
    SLUICE_CHECK(count_row(ask_->rows));
    return read_entity(value);
  }
  many_entities_ = true;
  SLUICE_CHECK(for_each_element(value, "entity_id", [&](od::value element) -> Result<void> {
    SLUICE_CHECK(count_row(ask_->rows));
    return read_entity(element);
  }));
  if (ask_->rows == 0) return invalid("empty", "'entity_id' is an empty list");
  return {};
}

Result<void> EntityReader::read_entity(od::value value) {
  od::object object;
  if (value.get_object().get(object) == simdjson::SUCCESS) return read_keys(object);
  if (fetched_.keys.size() == 1) {
    SLUICE_TRY(const auto text, read_value(value, "entity_id", arena_));
    ask_->entities.push_back(text);
    return {};
  }
  SLUICE_CHECK(visit(value));
  std::vector<std::string> names;
  for (const auto& key : fetched_.keys) names.push_back("'" + printable(key.name) + "'");
  return invalid("bad_entity", "an entity of this model has the keys " + join_and(names) +
                                   ": send 'entity_id' as an object with them");
}

Result<void> EntityReader::read_keys(od::object object) {
  const std::size_t first = ask_->entities.size();
  ask_->entities.resize(first + fetched_.keys.size());
  SLUICE_CHECK(for_each_field(object, [&](std::string_view key, od::value value) -> Result<void> {
    const auto found = std::ranges::find(fetched_.keys, key, &EntityKey::name);
    if (found == fetched_.keys.end()) {
      std::vector<std::string_view> known;
      for (const auto& each : fetched_.keys) known.push_back(each.name);
      return invalid("bad_entity", "an entity of this model has no key '" + printable(key) + "'" +
                                       did_you_mean(key, known));
    }
    const auto at = static_cast<std::size_t>(found - fetched_.keys.begin());
    SLUICE_TRY(ask_->entities[first + at], read_value(value, found->name, arena_));
    return {};
  }));
  for (std::size_t i = 0; i < fetched_.keys.size(); ++i) {
    if (!ask_->entities[first + i].empty()) continue;
    return invalid("bad_entity",
                   "'entity_id' lacks the key '" + printable(fetched_.keys[i].name) + "'");
  }
  return {};
}

Result<bool> EntityReader::read_features(od::value value) {
  od::object object;
  if (value.get_object().get(object) == simdjson::SUCCESS) {
    SLUICE_CHECK(read_row(object));
    return true;
  }
  od::array array;
  if (value.get_array().get(array)) return false;
  bool rows = false;
  bool empty = true;
  for (auto element : array) {
    empty = false;
    od::json_type type{};
    if (element.type().get(type)) return not_json("'features' is not valid JSON");
    rows = type == od::json_type::object;
    break;
  }
  if (empty) return invalid("empty", "'features' is empty");
  if (auto error = array.reset().error()) return not_json(simdjson::error_message(error));
  if (!rows) return false;
  many_sent_ = true;
  for (auto element : array) {
    od::value row;
    if (auto error = element.get(row)) return not_json(simdjson::error_message(error));
    if (row.get_object().get(object)) {
      return invalid("ragged", "every row of 'features' must be of the same form");
    }
    SLUICE_CHECK(read_row(object));
  }
  return true;
}

Result<void> EntityReader::read_row(od::object object) {
  const std::size_t row = sent_rows_;
  SLUICE_CHECK(count_row(sent_rows_));
  return for_each_field(object, [&](std::string_view key, od::value value) -> Result<void> {
    SLUICE_TRY(const auto feature, feature_named(key));
    SLUICE_TRY(auto data, read_feature(value, fetched_.names[feature]));
    ask_->given.push_back({row, feature, std::move(data)});
    return {};
  });
}

Result<std::size_t> EntityReader::feature_named(std::string_view name) const {
  const auto found = std::ranges::find(fetched_.names, name);
  if (found != fetched_.names.end()) {
    return static_cast<std::size_t>(found - fetched_.names.begin());
  }
  const std::vector<std::string_view> known(fetched_.names.begin(), fetched_.names.end());
  return invalid("unknown_feature",
                 "the model has no feature '" + printable(name) + "'" + did_you_mean(name, known));
}

std::string_view EntityReader::name() const {
  return ask_->entities.size() == 1 ? ask_->entities[0] : std::string_view();
}

Result<void> EntityReader::finish(Request& out) {
  if (!named()) ask_->rows = sent_rows_;
  if (many_sent_ && sent_rows_ != ask_->rows) {
    return invalid("ragged", "there are " + std::to_string(ask_->rows) + " entities and " +
                                 std::to_string(sent_rows_) + " rows of features");
  }
  // One row of features is for all entities.
  if (!many_sent_ && ask_->rows > 1) {
    const auto once = ask_->given;
    for (std::size_t row = 1; row < ask_->rows; ++row) {
      for (auto each : once) {
        each.row = row;
        ask_->given.push_back(std::move(each));
      }
    }
  }
  out.rows = ask_->rows;
  out.many_rows = many_entities_ || many_sent_;
  out.ask = std::move(ask_);
  return {};
}

}  // namespace sluice::codecs
