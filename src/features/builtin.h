// The kinds of feature stores that there are, by the scheme of their URLs.
//
// Thread-safety: functions without state.
#pragma once

#include <filesystem>
#include <memory>

#include "core/feature_store.h"
#include "features/stores.h"

namespace sluice::features {

// Connects to nothing yet: a store that is down is one that does not answer. Errors:
// kInvalidArgument/`bad_store_url`, for what can be none of them.
Result<std::shared_ptr<const FeatureStore>> open_store(const StoreOptions& options);

// The embedded store's file in a state directory; it need not be there.
std::filesystem::path embedded_file(const std::filesystem::path& state_directory);

}  // namespace sluice::features
