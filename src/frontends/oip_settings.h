// The logging extension of the Open Inference Protocol: which levels of the process log are
// written. No setting names a file.
//
// Thread-safety: functions on the process log, which is safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>

#include "base/error.h"

namespace sluice::frontends {

using LogValue = std::variant<bool, std::uint64_t, std::string>;
using LogSettings = std::map<std::string, LogValue>;

LogSettings log_settings();
// Errors: kInvalidArgument/`bad_setting`; then nothing has changed.
Result<void> change_log_settings(const LogSettings& changes);

}  // namespace sluice::frontends
