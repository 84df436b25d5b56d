// What `features:` of a model.yaml comes to: which features are fetched with which look-ups, what
// is made of them on demand, and which of them each column of the model gets.
//
// Thread-safety: immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/feature_config.h"
#include "core/feature_store.h"
#include "core/signature.h"

namespace sluice::features {

// A feature that is fetched.
struct Source {
  std::size_t lookup = 0;
  std::size_t place = 0;  // among the lookup's features
  FeatureType type = FeatureType::kNumber;
  std::optional<FeatureData> fallback;
  std::int64_t max_age_ns = 0;  // 0: any age will do
};

// A feature that is made of others.
struct Recipe {
  enum class Kind : std::uint8_t { kRatio, kDifference, kBucket, kLog, kAge };
  Kind kind = Kind::kRatio;
  std::size_t first = 0;  // places in Plan::names
  std::size_t second = 0;
  std::vector<double> edges;
  double unit_seconds = 1;
  std::optional<FeatureData> fallback;
};

// Where a feature goes: `width` elements of an input's row, from `offset` on.
struct Column {
  std::size_t feature = 0;  // place in Plan::names
  std::size_t input = 0;
  std::size_t offset = 0;
  std::size_t width = 1;  // more: a list of as many
};

struct Plan {
  // Fetched features, then those made on demand, each behind what it is made of.
  std::vector<std::string> names;
  std::vector<Source> sources;  // as many as names at the front
  std::vector<Recipe> recipes;  // the rest of the names
  std::vector<FeatureLookup> lookups;
  std::vector<std::vector<std::size_t>> key_places;  // of each lookup's keys in `features.entity`
  std::vector<Column> columns;
  // Of each input, elements of one row.
  std::vector<std::size_t> row_widths;
  bool has_ages = false;  // something depends on what time it is
  // The same for plans that make the same of the same rows; 0: what this one makes depends on more.
  std::uint64_t id = 0;
  FeatureOptions options;

  // Names the columns of `signature` where nobody else has. `columns_declared`: model.yaml's
  // `inputs:` has named them. Errors: kInvalidArgument/`bad_config` where the options do not fit
  // the model or each other.
  static Result<Plan> make(const FeatureOptions& options, Signature& signature,
                           bool columns_declared);
};

// What is wrong with the options whatever the model. Errors: those of Plan::make that need no
// model.
Result<void> check_options(const FeatureOptions& options);

}  // namespace sluice::features
