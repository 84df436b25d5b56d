// Paths of a Python and of its packages, for a process that works elsewhere: workers work in "/".
//
// Thread-safety: functions without state; all read the current directory.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::engines {

// From the current directory. Symbolic links stay: a virtual environment's python is one, and knows
// its packages by where it lies.
std::string absolute_path(std::string_view path);

// Where a shell finds a program of this name: a name without a slash is looked for on PATH. Nothing
// where it is not there.
std::optional<std::string> find_program(const std::string& name);

// A variable of the environment: "PYTHONPATH=.:lib" with absolute entries, of which an empty one is
// the current directory; any other as it is.
std::string absolute_variable(std::string_view variable);

}  // namespace sluice::engines
