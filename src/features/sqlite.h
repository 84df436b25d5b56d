// The embedded feature store: SQLite, in a file that `sluice features import` writes.
//
// The file is looked for when it is first read: as long as there is none no entity is known. It may
// be written at the same time, by this process or another one, and be replaced. One look-up in one
// B-tree gives all features of an entity.
#pragma once

#include <memory>

#include "core/feature_store.h"
#include "features/stores.h"

namespace sluice::features {

// `url`: sqlite:/path/features.db, or sqlite::memory:, which has nothing in it. The features are
// those that were imported into the store of this name. Errors: kInvalidArgument/`bad_store_url`.
Result<std::shared_ptr<const FeatureStore>> open_sqlite(const StoreOptions& options);

}  // namespace sluice::features
