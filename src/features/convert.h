// What stores keep, as what a model's column wants.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/feature_store.h"

namespace sluice::features {

// A text that a store keeps. Numbers are decimal, "NaN" and "inf" among them; an empty text is Null
// where a number, a truth value or a time is wanted. Unreadable where it is none.
FeatureData read_text(std::string_view text, FeatureType type);

// A value of any type, as one of this type where it is one.
FeatureData coerce(FeatureData data, FeatureType type);

// Nanoseconds since 1970: RFC 3339, the same with a space for the T or without a zone (then UTC), a
// date alone, or seconds as a decimal number. Nothing where it is none of them, or not between the
// years 1677 and 2262.
std::optional<std::int64_t> parse_time(std::string_view text);

// RFC 3339 in UTC, with a fraction only where there is one: "2026-11-26T10:00:00Z".
void append_time(std::int64_t ns, std::string& out);

// The whole number of a text, checked against the key's type, for those who write it as bytes.
// Errors: kInvalidArgument/`bad_entity`.
Result<std::int64_t> key_number(std::string_view text, const EntityKey& key);

}  // namespace sluice::features
