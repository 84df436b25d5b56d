// What stores keep, as what a model's column wants.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time_text.h"
#include "core/feature_store.h"

namespace sluice::features {

// A text that a store keeps. Numbers are decimal, "NaN" and "inf" among them; an empty text is Null
// where a number, a truth value or a time is wanted. Unreadable where it is none.
FeatureData read_text(std::string_view text, FeatureType type);

// A value of any type, as one of this type where it is one.
FeatureData coerce(FeatureData data, FeatureType type);

// The whole number of a text, checked against the key's type, for those who write it as bytes.
// Errors: kInvalidArgument/`bad_entity`.
Result<std::int64_t> key_number(std::string_view text, const EntityKey& key);

}  // namespace sluice::features
