// The feature stores that the configuration declares (`feature_stores:`), and the embedded one.
//
//   feature_stores:
//     - {name: users, url: "redis://127.0.0.1:6379/0", key: "user:{user_id}", time_field: updated}
//     - {name: shop, url: "feast+redis://127.0.0.1:6379", project: shop}
//
// As a flag or variable: name=url, with commas between. `default` is SQLite in the state directory
// unless it is declared to be another.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/option.h"

namespace sluice::features {

struct StoreOptions {
  std::string name;
  std::string url;
  std::string key;         // Redis: the hash of an entity, "user:{user_id}"; empty: the values,
                           // with ":" between
  std::string time_field;  // Redis: the field with the time of all others
  std::string project;     // Feast
  std::int64_t key_version = 3;  // Feast: entity_key_serialization_version
  Bytes cache{std::uint64_t{64} << 20};
  std::int64_t connections = 2;  // round trips at the same time

  static const Schema<StoreOptions>& schema();
};

struct Stores {
  std::vector<StoreOptions> list;
};

}  // namespace sluice::features

namespace sluice {
SLUICE_OPTION_TYPE(features::Stores)
}
