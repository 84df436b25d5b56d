// A version's own word that it is all there: `manifest.sha256` in its directory, in the form that
// `sha256sum` writes (64 hexadecimal digits, two spaces, a file's name; one line a file) or that of
// BSD's tools ("SHA256 (file) = …").
//
// Thread-safety: functions without state.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "core/engine.h"

namespace sluice::sources {

inline constexpr std::string_view kManifest = "manifest.sha256";
inline constexpr std::size_t kMaxManifest = 1 << 20;  // bytes, of one version's

struct ManifestLine {
  std::string digest;  // in lower case
  std::string file;    // without "./" before it
};

// 64 hexadecimal digits, in lower case; nothing for other texts.
std::optional<std::string> read_sha256(std::string_view text);

// Of the text beside one file, which may have lines of others, too, or be the digest alone.
// Nothing: it has none of that file.
std::optional<std::string> digest_beside(std::string_view text, std::string_view file);

// Files may lie in folders below the manifest. What it says of itself is left out: whoever wrote it
// with `find . -type f` had the beginning of it in there. Errors: kInvalidArgument/`bad_manifest`
// for a line of another form.
Result<std::vector<ManifestLine>> read_manifest(std::string_view text);

// Whether the copied model and the files beside it are what the manifest in `directory` says.
// Errors: those of reading it; kUnavailable/`unfinished` where one is not, or the model is not in
// it.
Result<void> check_manifest(const Fd& directory, const ModelFile& model);

}  // namespace sluice::sources
