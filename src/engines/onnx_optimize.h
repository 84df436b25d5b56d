// An ONNX model as ONNX Runtime makes it ready to be run, saved as a model.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace sluice::engines {

// Reads `from` and writes `to`. `extended`: nodes are fused into ONNX Runtime's own (domain
// com.microsoft) too; else only what is left are operators of the standard. Errors:
// kInvalidArgument/`bad_model` in ONNX Runtime's first sentence; kUnavailable/`unwritable` where
// the disk has no room for `to`. Nothing is left of it then. Thread-safety: any.
Result<void> save_optimized(const std::filesystem::path& from, const std::filesystem::path& to,
                            bool extended);

}  // namespace sluice::engines
