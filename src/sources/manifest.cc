#include "sources/manifest.h"

#include <algorithm>
#include <optional>

#include "base/digest.h"
#include "base/text.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

Failure unfinished(const std::string& file) {
  return unavailable("unfinished", "'" + printable(file) +
                                       "' is not what manifest.sha256 says of it: not all of "
                                       "the version is there yet, or it was damaged");
}

constexpr std::size_t kDigits = 64;

std::optional<ManifestLine> line_of(const std::optional<std::string>& digest,
                                    std::string_view file) {
  while (file.starts_with("./")) file.remove_prefix(2);
  if (!digest || file.empty()) return std::nullopt;
  return ManifestLine{*digest, std::string(file)};
}

// Of either form; the file's name is any.
std::optional<ManifestLine> read_line(std::string_view line) {
  constexpr std::string_view kBsd = "SHA256 (";
  constexpr std::string_view kEquals = ") = ";
  const auto equals = line.rfind(kEquals);
  if (line.starts_with(kBsd) && equals != std::string_view::npos && equals >= kBsd.size()) {
    return line_of(read_sha256(line.substr(equals + kEquals.size())),
                   line.substr(kBsd.size(), equals - kBsd.size()));
  }
  if (line.size() <= kDigits + 2) return std::nullopt;
  // After the digest comes a space, and a second one or a star.
  const auto between = line.substr(kDigits, 2);
  if (between != "  " && between != " *") return std::nullopt;
  return line_of(read_sha256(line.substr(0, kDigits)), line.substr(kDigits + 2));
}

// Line by line, without what ends it; `take` answers false to stop.
template <class Take>
void each_line(std::string_view text, Take take) {
  for (auto line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!take(line)) return;
  }
}

}  // namespace

std::optional<std::string> read_sha256(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'F';
    if (!upper && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return std::nullopt;
    out += upper ? static_cast<char>(c + 32) : c;
  }
  return out.size() == kDigits ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<std::string> digest_beside(std::string_view text, std::string_view file) {
  std::optional<std::string> only;  // what it is called there does not matter
  std::optional<std::string> own;
  int lines = 0;
  each_line(text, [&](std::string_view line) {
    if (trim(line).empty()) return true;
    ++lines;
    const auto read = read_line(line);
    only = read ? read->digest : read_sha256(trim(line.substr(0, kDigits + 1)));
    if (read && read->file.substr(read->file.rfind('/') + 1) == file) own = read->digest;
    return !own;
  });
  return own || lines != 1 ? own : only;
}

Result<std::vector<ManifestLine>> read_manifest(std::string_view text) {
  std::vector<ManifestLine> out;
  std::size_t number = 0;
  bool good = true;
  each_line(text, [&](std::string_view line) {
    ++number;
    if (trim(line).empty()) return true;
    auto read = read_line(line);
    good = read && is_safe_key(read->file);
    if (good && read->file != kManifest) out.push_back(*std::move(read));
    return good;
  });
  if (good) return out;
  return invalid("bad_manifest",
                 "manifest.sha256: line " + std::to_string(number) +
                     " is not of the form that sha256sum writes: 64 hexadecimal digits, two spaces "
                     "and the name of a file in or below the manifest's own directory");
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
