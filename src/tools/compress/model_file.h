// Writes a file of a version: a model, or what is said of it.
//
// Thread-safety: a function without state.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace sluice::tools::compress {

// All of it, and on the disk before it returns. Errors: kUnavailable/`unwritable`.
Result<void> write_model_file(const std::filesystem::path& file, std::string_view bytes);

}  // namespace sluice::tools::compress
