// A new version of a model beside the original: the model's files, its model.yaml, and the report.
//
// Thread-safety: a function without state.
#pragma once

#include <filesystem>
#include <string>

#include "tools/compress/report.h"

namespace sluice::tools::compress {

struct NewVersion {
  std::filesystem::path output;  // the version's folder, which is not there or is empty
  std::filesystem::path made;    // the model's file, with those that belong to it in its folder
  std::string yaml;              // of the original; empty: it has none
};

// The folder appears whole or not at all: it is made beside `output`, brought to the disk and
// renamed. Errors: kInvalidArgument/`exists`; kUnavailable/`unwritable`; `bad_config` of
// model.yaml.
Result<void> write_version(const NewVersion& version, const Report& report);

}  // namespace sluice::tools::compress
