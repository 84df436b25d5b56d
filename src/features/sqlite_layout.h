// The embedded store's file: what is in it, for those who read and those who write it.
//
//   features(id, store, name)       names, so that a body need not repeat them
//   entities(store, entity, body)   a body (feature_pack.h) has all features of an entity
//
// The bytes of an entity that has one key are its value as it is; of several keys each value with
// its length (u32, little endian) in front, in the order of the keys' names.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clients/sqlite.h"
#include "core/feature_store.h"

namespace sluice::features {

// `names` outlives what is opened with it.
clients::SqliteLayout embedded_layout(const clients::SqliteNames& names);

// Which value comes first, second, … in an entity's bytes.
std::vector<std::size_t> key_order(std::span<const EntityKey> keys);

// `values` in the order of the keys, `order` as key_order gave it; replaces what is in `out`.
void entity_bytes(EntityValues values, std::span<const std::size_t> order, std::string& out);

}  // namespace sluice::features
