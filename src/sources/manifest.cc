#include "sources/manifest.h"

#include <algorithm>

#include "base/digest.h"
#include "base/text.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

constexpr std::size_t kMaxManifest = 1 << 20;

Failure unfinished(const std::string& file) {
  return unavailable("unfinished", "'" + printable(file) +
                                       "' is not what manifest.sha256 says of it: not all of "
                                       "the version is there yet, or it was damaged");
}

}  // namespace

Result<std::vector<ManifestLine>> read_manifest(std::string_view text) {
  constexpr std::size_t kDigits = 64;
  std::vector<ManifestLine> out;
  std::size_t number = 0;
  for (auto line : split(text, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty()) continue;
    const auto digest = line.substr(0, kDigits);
    const bool hex = digest.size() == kDigits && std::ranges::all_of(digest, [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
    // After the digest comes a space, and a second one or a star.
    const auto between = hex ? line.substr(kDigits, 2) : std::string_view();
    const auto file = line.size() > kDigits + 2 ? line.substr(kDigits + 2) : std::string_view();
    if (!is_safe_key(file) || (between != "  " && between != " *")) {
      return invalid("bad_manifest", "manifest.sha256: line " + std::to_string(number) +
                                         " is not of the form that sha256sum writes");
    }
    out.push_back({std::string(digest), std::string(file)});
  }
  return out;
}

Result<void> check_manifest(const Fd& directory, const ModelFile& model) {
  SLUICE_TRY(const auto fd, open_beneath(directory, kManifest));
  SLUICE_TRY(const auto text, read_text(fd, kMaxManifest, kManifest));
  SLUICE_TRY(const auto lines, read_manifest(text));
  if (std::ranges::find(lines, model.name, &ManifestLine::file) == lines.end()) {
    return unfinished(model.name);
  }
  for (const auto& line : lines) {
    FileBytes bytes = model.contents;
    if (line.file != model.name) {
      auto beside = open_beneath(directory, line.file);
      if (!beside) return unfinished(line.file);
      SLUICE_TRY(bytes, FileBytes::copy(*beside, "a file of the manifest"));
    }
    if (sha256_hex(bytes.bytes()) != line.digest) return unfinished(line.file);
  }
  return {};
}

}  // namespace sluice::sources
