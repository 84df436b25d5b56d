// What the sub-commands of `sluice features` share.
//
// Thread-safety: functions without state.
#pragma once

#include <optional>
#include <string>

#include "app/commands.h"

namespace sluice::app {

// Where the embedded feature store is: the folder that is given, else the one that `sluice serve`
// without arguments keeps its state in.
std::string features_directory(const std::string& given);

// A store's name must be a token and a folder must be one; else the sentence that says so.
std::optional<std::string> features_fault(const std::string& store, const std::string& state_dir);

// `sluice features import`, `sluice features get`.
Action add_features_import(CLI::App& app);
Action add_features_get(CLI::App& app);

}  // namespace sluice::app
