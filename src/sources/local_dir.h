// Models on a local disk: one file, or a directory of any layout that sources/layout.h knows.
// Everything is opened beneath the directory that was given.
//
// Thread-safety: that of Source (core/source.h).
#pragma once

#include <filesystem>
#include <memory>

#include "core/source.h"
#include "sources/layout.h"

namespace sluice::sources {

// Errors: kNotFound when there is no such path.
Result<std::unique_ptr<Source>> make_local_dir(const std::filesystem::path& path, Layout layout);

}  // namespace sluice::sources
