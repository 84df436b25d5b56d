// Feast's online store in SQLite, as its Python SDK writes it: read alone, while Feast writes.
//
// A table for each feature view, "{project}_{view}", with entity_key, feature_name, value and
// event_ts (and more, which is not read). Source: sdk/python/feast/infra/online_stores/sqlite.py of
// Feast, its text of August 2026 and that of 2021, whose tables are the same. Times are texts
// ("2026-11-26 10:00:00", naive ones in UTC) in older files and seconds since 1970 in newer ones.
#pragma once

#include <memory>

#include "core/feature_store.h"
#include "features/stores.h"

namespace sluice::features {

// `url`: feast+sqlite:/path/online_store.db. Features are written view:feature. Errors:
// kInvalidArgument/`bad_store_url`: no file, or no project.
Result<std::shared_ptr<const FeatureStore>> open_feast_sqlite(const StoreOptions& options);

}  // namespace sluice::features
