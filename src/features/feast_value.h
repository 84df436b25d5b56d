// What Feast's online stores keep of a feature: a `feast.types.Value`, a protobuf message.
//
// Source: protos/feast/types/Value.proto of Feast; checked against its text of August 2026.
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/feature_store.h"

namespace sluice::features {

// The value of a serialized feast.types.Value as `type`. Null where none of its alternatives is
// set, which is how Feast writes a missing value. A float is exactly the float it is. Sets are
// lists; UUIDs, decimals and JSON are texts. Unreadable: maps and nested lists, alternatives that
// are newer than this program, integers in lists that a double cannot hold, and what is no such
// message at all.
FeatureData feast_value(std::string_view bytes, FeatureType type);

// Nanoseconds since 1970 of a serialized google.protobuf.Timestamp. Nothing where it is none, or
// not between the years 1677 and 2262.
std::optional<std::int64_t> feast_timestamp(std::string_view bytes);

}  // namespace sluice::features
