#include "sources/manifest.h"

#include <algorithm>

#include "base/text.h"

namespace sluice::sources {

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
    const bool plain = !file.empty() && file.find('/') == std::string_view::npos && file != "." &&
                       file != "..";
    if (!plain || (between != "  " && between != " *")) {
      return invalid("bad_manifest", "manifest.sha256: line " + std::to_string(number) +
                                         " is not of the form that sha256sum writes");
    }
    out.push_back({std::string(digest), std::string(file)});
  }
  return out;
}

}  // namespace sluice::sources
