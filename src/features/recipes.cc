#include "features/recipes.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "features/convert.h"

namespace sluice::features {
namespace {

bool is_missing(const FeatureData& data) {
  return std::holds_alternative<Null>(data) || std::holds_alternative<Absent>(data);
}

std::optional<double> number_of(const FeatureData& data) {
  if (const auto* integer = std::get_if<std::int64_t>(&data)) return static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&data)) return *real;
  if (const auto* truth = std::get_if<bool>(&data)) return *truth ? 1 : 0;
  return std::nullopt;
}

FeatureData finite(double value) {
  if (!std::isfinite(value)) return Null{};
  return value;
}

FeatureData age_of(const Recipe& recipe, const FeatureData& since, std::int64_t now_ns) {
  auto seconds = number_of(since);
  if (!seconds) {
    // A client that sends the time itself writes it as a text.
    const auto time = coerce(since, FeatureType::kTime);
    if (const auto* unreadable = std::get_if<Unreadable>(&time)) return *unreadable;
    seconds = number_of(time);
  }
  if (!seconds) return Unreadable{"is not a time"};
  return finite((static_cast<double>(now_ns) / 1e9 - *seconds) / recipe.unit_seconds);
}

}  // namespace

FeatureData make_feature(const Recipe& recipe, const FeatureData& first, const FeatureData& second,
                         std::int64_t now_ns) {
  if (is_missing(first) || is_missing(second)) return Null{};
  if (recipe.kind == Recipe::Kind::kAge) return age_of(recipe, first, now_ns);
  const auto a = number_of(first);
  const auto b = number_of(second);
  if (!a || !b) return Unreadable{"is not a number"};
  switch (recipe.kind) {
    case Recipe::Kind::kRatio: return finite(*a / *b);
    case Recipe::Kind::kDifference: return finite(*a - *b);
    case Recipe::Kind::kLog: return finite(std::log(*a));
    case Recipe::Kind::kBucket: {
      if (std::isnan(*a)) return Null{};
      const auto reached = std::ranges::upper_bound(recipe.edges, *a) - recipe.edges.begin();
      return static_cast<std::int64_t>(reached);
    }
    case Recipe::Kind::kAge: break;
  }
  return Null{};
}

}  // namespace sluice::features
