// A directory of this user's own.
//
// Thread-safety: a function without state.
#pragma once

#include <filesystem>
#include <system_error>

namespace sluice {

// Made (mode 0700) where it is missing, with those above it, which are made as usual: they are not
// its own. One that is there stays as it is.
std::error_code make_private_directory(const std::filesystem::path& directory);

}  // namespace sluice
