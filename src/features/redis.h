// Features in Redis: a hash for each entity, with a field for each feature.
//
//   HSET user:42 clicks 7 country DE updated 2026-11-26T10:00:00Z
//
// The values are texts, as Redis has no others. A lookup is one HMGET for each entity, all of them
// in one round trip.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/feature_store.h"
#include "features/stores.h"

namespace sluice::features {

// Errors: kInvalidArgument/`bad_store_url`. Connects at the first lookup.
Result<std::shared_ptr<const FeatureStore>> open_redis(const StoreOptions& options);

// The name of an entity's hash, of a template such as "user:{user_id}"; "{{" and "}}" are braces.
// Values are put in as they are: between two of them belongs what neither has in it. Of an empty
// one it is the values with ":" between; where there are several, a ":" or "\" within a value has a
// "\" in front, so that two entities never share a name.
//
// Thread-safety: immutable once made.
class KeyTemplate {
 public:
  // Errors: kInvalidArgument/`bad_config`: names a key that the lookup does not have, or not all.
  static Result<KeyTemplate> parse(std::string_view text, std::span<const EntityKey> keys);

  // Puts the name into `out`, which is overwritten.
  void write(EntityValues values, std::string& out) const;

 private:
  struct Piece {
    std::string text;  // before the value
    std::size_t key;   // whose value; npos: none, at the end
  };

  std::vector<Piece> pieces_;
  bool escape_ = false;
};

}  // namespace sluice::features
