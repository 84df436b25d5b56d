// Feast's feature server: POST /get-online-features, all entities of a call in one request.
//
// Source: sdk/python/feast/feature_server.py and protos/feast/serving/ServingService.proto of
// Feast, their texts of August 2026. Servers answer in one of two shapes: an element of `results`
// for each feature (Feast's own today), or one for each entity. They are told apart by their
// lengths; where these are the same, by where the entities' own keys come back, and if that does
// not tell, it is Feast's own.
#pragma once

#include <memory>

#include "core/feature_store.h"
#include "features/stores.h"

namespace sluice::features {

// `url`: feast+http://host:6566 or feast+https://host, with a path in front of get-online-features
// if there is one. Features are written view:feature. Errors: kInvalidArgument/`bad_store_url`.
Result<std::shared_ptr<const FeatureStore>> open_feast_http(const StoreOptions& options);

}  // namespace sluice::features
