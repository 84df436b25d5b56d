// S3's ETag of an object that was uploaded in parts: the MD5 of the parts' MD5s, and their number.
//
// Parts are digested several at once (Md5Lanes), as soon as so many are there: one after the other
// they would take longer than the network.
//
// Thread-safety: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/digest.h"

namespace sluice::sources {

class PartsDigest {
 public:
  // All parts are `part` bytes (not 0) long, but for the last.
  explicit PartsDigest(std::uint64_t part);
  std::uint64_t part() const { return part_; }

  // The object's bytes from its first, as many as are there: in each call those of before and more.
  void arrived(std::span<const std::byte> so_far);
  // What has come is the whole object: "0123…ef-12".
  std::string finish(std::span<const std::byte> object);

 private:
  void digest_whole(std::span<const std::byte> so_far, std::uint64_t count);
  void add(std::span<const std::byte> part);

  std::uint64_t part_;
  std::uint64_t at_once_;
  std::uint64_t done_ = 0;  // parts
  Digest whole_{Digest::Kind::kMd5};
};

}  // namespace sluice::sources
