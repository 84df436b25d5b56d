// Features that Feast has put into Redis.
//
// A hash for each entity: its key is the entity's (features/feast_keys.h) with the project's name
// behind it; its fields are murmur3("view:feature"), four bytes, little endian, with a
// feast.types.Value each, and "_ts:view" with a google.protobuf.Timestamp for each view. Names
// cannot be had back from the hashes, so nothing is listed.
//
// Source: sdk/python/feast/infra/online_stores/redis.py of Feast, its text of August 2026.
#pragma once

#include <memory>

#include "core/feature_store.h"
#include "features/stores.h"

namespace sluice::features {

// feast+ and a URL of clients/redis_url.h, with the project. Errors:
// kInvalidArgument/`bad_store_url`. Connects at the first lookup.
Result<std::shared_ptr<const FeatureStore>> open_feast_redis(const StoreOptions& options);

}  // namespace sluice::features
