// What model.yaml says about features that are fetched for an entity (`features:`).
//
// `names` are the features in the order of the model's input. Where nothing more is said of one it
// is fetched from the store under its own name. `define` says more, of these or of others that
// on-demand features are made of.
//
// Thread-safety: immutable once read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/option.h"
#include "core/feature_store.h"

namespace sluice {

// A default: a number, a truth value, a text, or null (a missing value).
struct DefaultValue {
  FeatureData data;
};

// One key may be written without brackets.
struct EntityKeys {
  std::vector<EntityKey> list;
};

enum class StaleAction { kWarn, kReject };
enum class UnknownAction { kReject, kDefault };
enum class UnavailableAction { kReject, kDefault, kStale };

// `{ratio: [a, b]}` and its like; exactly one of the first five.
struct FeatureDefinition {
  std::string name;
  // Fetched.
  std::string from;                 // what the store calls it; empty: the name
  std::vector<std::string> entity;  // names of its keys; empty: all of `features.entity`
  std::optional<FeatureType> type;
  std::optional<DefaultValue> fallback;  // written `default`
  std::optional<Millis> max_age;
  // Made of others when the request is there.
  std::vector<std::string> ratio;       // the first through the second
  std::vector<std::string> difference;  // the first without the second
  std::string bucket;                   // in which of the `edges` it lies: 0 below the first
  std::vector<double> edges;
  std::string log;  // its natural logarithm
  std::string age;  // from that time until now, in `unit`s
  std::string unit = "days";

  static const Schema<FeatureDefinition>& schema();
};

struct FeatureOptions {
  std::string store = "default";
  std::vector<std::string> names;
  EntityKeys entity{{{"entity_id", KeyType::kText}}};
  Millis ttl{60'000};
  Millis negative_ttl{5'000};
  Millis timeout{50};
  std::optional<Millis> max_age;
  StaleAction stale = StaleAction::kWarn;
  UnknownAction unknown = UnknownAction::kReject;
  UnavailableAction unavailable = UnavailableAction::kReject;
  std::int64_t max_entities = 10'000;
  std::vector<FeatureDefinition> define;

  static const Schema<FeatureOptions>& schema();
};

}  // namespace sluice
