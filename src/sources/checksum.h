// What a store has computed itself of an object's whole content, and says in headers.
//
// Amazon's, and those that speak as it does: `x-amz-checksum-…`, where it is of the full object and
// not of its parts' checksums (S3 API, HeadObject with ChecksumMode; since December 2024 every new
// object has one). Google's: `x-goog-hash`.
//
// Thread-safety: plain values.
#pragma once

#include <optional>
#include <string>

#include "base/digest.h"
#include "clients/http.h"

namespace sluice::sources {

struct Checksum {
  Digest::Kind kind = Digest::Kind::kSha256;
  std::string hex;  // as Digest gives it, in lower-case hexadecimal digits

  // Two damaged contents in 2^32 have the same: where there is something better, that is taken.
  bool weak() const { return kind == Digest::Kind::kCrc32 || kind == Digest::Kind::kCrc32c; }
};

// The header that asks Amazon's for it.
inline constexpr std::pair<const char*, const char*> kChecksumMode = {"x-amz-checksum-mode",
                                                                      "ENABLED"};

// The strongest that the headers have.
std::optional<Checksum> checksum_of(const clients::HttpHeaders& headers);

// "md5", "crc64nvme", as in records of the cache; nothing for words that mean none.
std::string_view word_of(Digest::Kind kind);
std::optional<Digest::Kind> digest_kind(std::string_view word);

}  // namespace sluice::sources
