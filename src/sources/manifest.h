// A version's own word that it is all there: `manifest.sha256` in its directory, in the form that
// `sha256sum` writes (64 hexadecimal digits, two spaces, a file's name; one line a file).
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "core/engine.h"

namespace sluice::sources {

inline constexpr std::string_view kManifest = "manifest.sha256";

struct ManifestLine {
  std::string digest;
  std::string file;
};

// Files may lie in folders below the manifest. Errors: kInvalidArgument/`bad_manifest` for a line
// of another form.
Result<std::vector<ManifestLine>> read_manifest(std::string_view text);

// Whether the copied model and the files beside it are what the manifest in `directory` says.
// Errors: those of reading it; kUnavailable/`unfinished` where one is not, or the model is not in
// it.
Result<void> check_manifest(const Fd& directory, const ModelFile& model);

}  // namespace sluice::sources
