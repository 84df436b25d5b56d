// What Feast's feature server answers, as rows of features.
//
// Thread-safety: functions without state.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/feature_store.h"

namespace sluice::features {

// The body of a request for these features of these entities. Errors:
// kInvalidArgument/`bad_entity`.
Result<std::string> feast_question(const FeatureLookup& lookup,
                                   std::span<const EntityValues> entities);

// Fills the rows. Errors: kFailedPrecondition/`bad_store`, which begins with `store`: it is not
// JSON, or not the answer to that question. The body is never shown.
Result<void> read_feast_answer(std::string_view body, std::string_view store,
                               const FeatureLookup& lookup, std::span<const EntityValues> entities,
                               std::span<FeatureRow> rows);

}  // namespace sluice::features
