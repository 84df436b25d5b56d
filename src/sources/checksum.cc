#include "sources/checksum.h"

#include <array>

#include "base/base64.h"
#include "base/text.h"

namespace sluice::sources {
namespace {

struct Known {
  Digest::Kind kind;
  std::string_view word;
  std::size_t bytes;
};

// The strongest first.
constexpr std::array<Known, 6> kKnown = {{{Digest::Kind::kSha256, "sha256", 32},
                                          {Digest::Kind::kSha1, "sha1", 20},
                                          {Digest::Kind::kMd5, "md5", 16},
                                          {Digest::Kind::kCrc64Nvme, "crc64nvme", 8},
                                          {Digest::Kind::kCrc32c, "crc32c", 4},
                                          {Digest::Kind::kCrc32, "crc32", 4}}};

std::optional<Checksum> read(const Known& known, std::string_view base64) {
  // "…-3" is of three parts' checksums.
  if (base64.find('-') != std::string_view::npos) return std::nullopt;
  const auto bytes = decode_base64(base64);
  if (!bytes || bytes->size() != known.bytes) return std::nullopt;
  return Checksum{known.kind, to_hex(*bytes)};
}

// "crc32c=n03x6A==,md5=Ojk9c3dhfxgoKVVHYwFbHQ==", or each in a header of its own.
std::optional<Checksum> of_google(const Known& known, const clients::HttpHeaders& headers) {
  for (const auto& [name, value] : headers) {
    if (!iequals(name, "x-goog-hash")) continue;
    for (const auto each : split(value, ',')) {
      const auto hash = trim(each);
      if (hash.size() <= known.word.size() || !hash.starts_with(known.word)) continue;
      if (hash[known.word.size()] != '=') continue;
      if (auto found = read(known, hash.substr(known.word.size() + 1))) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Checksum> checksum_of(const clients::HttpHeaders& headers) {
  const auto* type = clients::find_header(headers, "x-amz-checksum-type");
  const bool whole = type == nullptr || iequals(*type, "FULL_OBJECT");
  for (const auto& known : kKnown) {
    const auto* value = clients::find_header(headers, "x-amz-checksum-" + std::string(known.word));
    if (value != nullptr && whole) {
      if (auto found = read(known, *value)) return found;
    }
    if (auto found = of_google(known, headers)) return found;
  }
  return std::nullopt;
}

std::string_view word_of(Digest::Kind kind) {
  for (const auto& known : kKnown) {
    if (known.kind == kind) return known.word;
  }
  return "";
}

std::optional<Digest::Kind> digest_kind(std::string_view word) {
  for (const auto& known : kKnown) {
    if (known.word == word) return known.kind;
  }
  return std::nullopt;
}

}  // namespace sluice::sources
