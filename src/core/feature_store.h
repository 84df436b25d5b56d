// A place where the features of entities are kept, and how they are asked for.
//
// To add one: write `features/<name>.cc`, a header that makes one, and one line in
// `features/builtin.cc`. A store only reads;
// caching, grouping, time limits and what happens when it is down are the same for all of them
// (features/fetcher.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "core/feature_value.h"

namespace sluice {

// What a key's value is: everybody else takes its text, and Feast writes integers as bytes.
enum class KeyType : std::uint8_t { kText, kInt32, kInt64 };

struct EntityKey {
  std::string name;  // "driver_id"
  KeyType type = KeyType::kText;
  friend bool operator==(const EntityKey&, const EntityKey&) = default;
};

// What a feature is to be read as, where a store keeps texts.
enum class FeatureType : std::uint8_t {
  kAny,      // as it is stored; of a text: as a text
  kNumber,   // an integer or a real; texts are parsed
  kText,     // numbers are written out
  kBoolean,  // true, false, 1, 0
  kTime,     // seconds since 1970, or RFC 3339
};

struct WantedFeature {
  std::string name;  // as the store calls it; in Feast "view:feature"
  FeatureType type = FeatureType::kAny;
  friend bool operator==(const WantedFeature&, const WantedFeature&) = default;
};

// What is wanted of every entity of a kind: made once, asked for with many.
struct FeatureLookup {
  std::vector<EntityKey> keys;  // at least one, in the order in which values are given
  std::vector<WantedFeature> features;
  friend bool operator==(const FeatureLookup&, const FeatureLookup&) = default;
};

// One value for each key, in the lookup's order; integers in decimal, checked against their types.
using EntityValues = std::span<const std::string_view>;

// Reads one lookup.
//
// Thread-safety: any number of threads may read at the same time.
class FeatureReader {
 public:
  virtual ~FeatureReader() = default;

  // Fills `rows[i]`, which is empty, for `entities[i]`, with as many values as the lookup has
  // features, or leaves it empty with `known` false. Blocks, until about `deadline`. All of
  // `entities` (at most kMostEntities) go in as few round trips as can be. A value that cannot be
  // read is Unreadable, and no error. Errors: kUnavailable/`store_unavailable` (not there, broken
  // off), kDeadlineExceeded/`store_timeout`, kFailedPrecondition/`bad_store` (answers, but is not
  // what it should be: no such table, wrong password).
  virtual Result<void> read(std::span<const EntityValues> entities, std::span<FeatureRow> rows,
                            std::chrono::steady_clock::time_point deadline) const = 0;

  static constexpr std::size_t kMostEntities = 1024;
};

// Everything that a store has of one entity, by name.
using NamedFeatures = std::vector<std::pair<std::string, FeatureValue>>;

// Thread-safety: every function may be called from any thread.
class FeatureStore {
 public:
  virtual ~FeatureStore() = default;

  // Errors: kInvalidArgument/`bad_config` where the store cannot have such a lookup ("Feast's
  // features are written view:feature").
  virtual Result<std::unique_ptr<const FeatureReader>> reader(
      const FeatureLookup& lookup) const = 0;

  // For people; blocks. Nothing: this store cannot list, ask for features by name. An empty list:
  // there is no such entity. Errors: those of FeatureReader::read.
  virtual Result<std::optional<NamedFeatures>> list(
      std::span<const EntityKey> keys, EntityValues entity,
      std::chrono::steady_clock::time_point deadline) const {
    (void)keys, (void)entity, (void)deadline;
    return std::nullopt;
  }
};

}  // namespace sluice
