// A version's own word that it is all there: `manifest.sha256` in its directory, in the form that
// `sha256sum` writes (64 hexadecimal digits, two spaces, a file's name; one line a file).
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::sources {

inline constexpr std::string_view kManifest = "manifest.sha256";

struct ManifestLine {
  std::string digest;
  std::string file;
};

// Errors: kInvalidArgument/`bad_manifest` for a line of another form, or a name with a directory.
Result<std::vector<ManifestLine>> read_manifest(std::string_view text);

}  // namespace sluice::sources
