// The stores that there are, by the scheme of a URL; what has none is a directory or ":memory:".
//
// Thread-safety: functions without state.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/state_store.h"

namespace sluice::state {

// `where` is a directory, ":memory:", or a URL of one of the schemes below.
// Errors: kInvalidArgument/`bad_state_url` for what can be none of them; else those of StateStore.
Result<std::unique_ptr<StateStore>> open_state(const std::string& where);

// Of every store that there is; "" is the one without. The contract test goes through them.
std::vector<std::string_view> state_schemes();

}  // namespace sluice::state
