// What a store knows of one entity, as JSON for people: the answer of GET
// /api/features/{store}/{entity}, and of `sluice features get --json`.
//
// Thread-safety: a function without state.
#pragma once

#include <string>
#include <string_view>

#include "core/feature_store.h"

namespace sluice::features {

// {"store":…,"entity":…,"features":{name:value},"feature_times":{name:"RFC 3339"},
// "problems":{name:"is not a number"}}: times of those that have one, problems of values that are
// there and of no use to a model.
std::string named_json(std::string_view store, std::string_view entity,
                       const NamedFeatures& features);

}  // namespace sluice::features
