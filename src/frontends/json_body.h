// Small bodies of control calls.
//
// Thread-safety: functions without state.
#pragma once

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "transport/http.h"

namespace sluice::frontends {

// An object, or nothing at all, which is an empty one. Errors: kInvalidArgument/`not_json`,
// `wrong_type`, `duplicate_key`, `too_deep`.
Result<nlohmann::ordered_json> read_object(const transport::Exchange& exchange);

}  // namespace sluice::frontends
