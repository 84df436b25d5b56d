// What an object's bytes are held against when they have come.
//
// The best that is known: its SHA-256, else an ETag that is the content's MD5, else one that is the
// MD5 of the parts' MD5s ("…-N", uploaded in parts). Where the store says nothing that can be
// checked, the SHA-256 of what came is recorded, so that the cache can at least be checked.
//
// Thread-safety: one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "sources/object_store.h"
#include "sources/parts_digest.h"

namespace sluice::sources {

class ObjectDigest {
 public:
  // `part_size`: of an object uploaded in parts, where the store knows it; else common ones that
  // fit are tried.
  ObjectDigest(const Object& object, std::uint64_t part_size);
  // Of a file in the cache: what `record` gave.
  static ObjectDigest of_record(const std::string& record, std::uint64_t size);

  // The object's bytes from its first, as many as are there by now: in each call those of before,
  // in the same place, and more. They stay there until `finish`.
  void arrived(std::span<const std::byte> so_far);

  struct Verdict {
    bool right = true;
    bool checked = false;  // against something that the store said
    std::string record;    // "sha256:…", "md5:…" or "parts-SIZE:…", to be checked again later
  };
  // `etag_counts`: whether the object's ETag is a digest at all. Once, after the last byte.
  Verdict finish(bool etag_counts);

 private:
  ObjectDigest() = default;

  enum class Kind { kSha256, kMd5, kParts };
  Kind kind_ = Kind::kSha256;
  std::string wanted_;  // hexadecimal; empty: nothing is known
  bool exact_ = false;  // the size of the parts is known
  bool from_etag_ = false;
  std::span<const std::byte> so_far_;
  std::vector<Digest> whole_;       // one, or none for parts
  std::vector<PartsDigest> parts_;  // one for each size that they may have
};

// How many parts an ETag of the form "…-N" speaks of; 0 for others.
std::uint64_t parts_of_etag(std::string_view etag);

}  // namespace sluice::sources
