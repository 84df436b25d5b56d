// What an object's bytes are held against when they have come.
//
// The best that is known: its SHA-256, else a checksum of 64 bits or more that the store says, else
// an ETag that is the content's MD5 or that is the MD5 of the parts' MD5s ("…-N", uploaded in
// parts), else a checksum of 32 bits. (A CRC of 64 bits comes before MD5 because a single MD5, one
// long chain of steps, is slower than a network.) Where the store says nothing that can be checked,
// the SHA-256 of what came is recorded, so that the cache can at least be checked.
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
  // Of an object uploaded in parts, parts of common sizes are tried where the store does not know
  // theirs.
  ObjectDigest(const Object& object, const Details& details);
  // Whether details may lead to something better, so that it is worth a question.
  static bool needs_details(const Object& object);
  // Held against this alone.
  explicit ObjectDigest(const Checksum& checksum);
  // Of a file in the cache: what `record` gave.
  static ObjectDigest of_record(const std::string& record, std::uint64_t size);

  // The object's bytes from its first, as many as are there by now: in each call those of before,
  // in the same place, and more. They stay there until `finish`.
  void arrived(std::span<const std::byte> so_far);

  struct Verdict {
    bool right = true;
    bool checked = false;  // against something that the store said
    // Its ETag is of parts whose size nobody knows, and fits none of the usual ones: that of an
    // object that was uploaded in parts of another size, or of one that was damaged.
    bool strange_parts = false;
    std::string record;  // "sha256:…", "parts-SIZE:…" and so on, to be checked again later
  };
  // `etag_counts`: whether the object's ETag is a digest at all. Once, after the last byte.
  Verdict finish(bool etag_counts);

 private:
  ObjectDigest() = default;

  void choose(const Object& object, const Details& details);
  bool fits_parts(std::uint64_t part, Verdict& verdict) const;
  Verdict finish_parts();
  void hold_against(Digest::Kind kind, std::string hex);

  Digest::Kind kind_ = Digest::Kind::kSha256;  // of `whole_`
  std::string wanted_;                         // hexadecimal; empty: nothing is known
  bool exact_ = false;                         // the size of the parts is known
  std::uint64_t count_ = 0;                    // of parts, by the ETag
  bool from_etag_ = false;
  std::span<const std::byte> so_far_;
  std::vector<Digest> whole_;       // one, or none for parts
  std::vector<PartsDigest> parts_;  // one for each size that they may have
};

// How many parts an ETag of the form "…-N" speaks of; 0 for others.
std::uint64_t parts_of_etag(std::string_view etag);

}  // namespace sluice::sources
