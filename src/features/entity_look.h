// What a store knows of one entity, for people. Internal to features.
//
// Thread-safety: a function without state; it blocks.
#pragma once

#include <string_view>

#include "features/fetcher.h"

namespace sluice::features {

// See Features::look.
Result<NamedFeatures> look_at_entity(const Fetcher& fetcher, std::string_view entity);

}  // namespace sluice::features
