// How Feast's online stores name an entity and a feature.
//
// Source: serialize_entity_key of Feast's sdk/python/feast/infra/key_encoding_utils.py, which is
// the format of its SQLite and Redis stores; checked against its text of August 2026.
// Thread-safety: functions without state.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/feature_store.h"

namespace sluice::features {

// The bytes of an entity's key, little endian, its keys sorted by name. `version` is Feast's
// entity_key_serialization_version: in 1 an int64 has four bytes and must fit them, as Feast itself
// asks; in 3 the number of keys is in front, and of each name its length. Texts are STRING.
// Errors: kInvalidArgument/`bad_entity`: a value is not a number of its key's type, or no version
// 1 can have it.
Result<std::string> feast_entity_key(std::span<const EntityKey> keys, EntityValues values,
                                     int version);

struct FeastName {
  std::string view;
  std::string feature;
};
// "view:feature". Errors: kInvalidArgument/`bad_config`.
Result<FeastName> parse_feast_name(std::string_view name);

}  // namespace sluice::features
