// Loading and unloading by call, for both forms of the Open Inference Protocol.
//
// Thread-safety: functions without state; `done` is called on the repository's thread.
#pragma once

#include <string_view>

#include "frontends/parts.h"

namespace sluice::frontends {

// What a call that changes models may bring along and what of it is not taken. Errors:
// kUnimplemented: `config` and `file:…` parameters would put a client's files into the repository.
Result<void> check_load_parameter(std::string_view key);

// `done` is called exactly once. Errors: of the name; of Repository::load and unload.
void load_model(const Parts& parts, std::string_view model, repository::Repository::Done done);
void unload_model(const Parts& parts, std::string_view model, repository::Repository::Done done);

}  // namespace sluice::frontends
