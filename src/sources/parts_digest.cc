#include "sources/parts_digest.h"

#include <algorithm>

#include "base/md5_lanes.h"

namespace sluice::sources {
namespace {

// Bytes of parts that are waited for, so that the first does not wait long for the last.
constexpr std::uint64_t kAtOnce = std::uint64_t{128} << 20;
// Fewer lanes are no faster than one chain.
constexpr std::uint64_t kFewest = 4;

}  // namespace

PartsDigest::PartsDigest(std::uint64_t part)
    : part_(part), at_once_(std::clamp<std::uint64_t>(kAtOnce / part, kFewest, Md5Lanes::kLanes)) {}

// `count` parts, no more than there are lanes.
void PartsDigest::digest_whole(std::span<const std::byte> so_far, std::uint64_t count) {
  const auto* first = so_far.data() + done_ * part_;
  Md5Lanes::Bytes from{};
  for (std::size_t lane = 0; lane < from.size(); ++lane) {
    from[lane] = first + (lane < count ? lane * part_ : 0);
  }
  const auto blocks = part_ / Md5Lanes::kBlock;
  Md5Lanes lanes;
  lanes.update(from, blocks);
  for (auto& bytes : from) bytes += blocks * Md5Lanes::kBlock;
  const auto digests = lanes.finish(from, part_ % Md5Lanes::kBlock);
  for (std::size_t lane = 0; lane < count; ++lane) {
    whole_.update(std::as_bytes(std::span(digests[lane])));
  }
  done_ += count;
}

void PartsDigest::add(std::span<const std::byte> part) {
  Digest one(Digest::Kind::kMd5);
  one.update(part);
  const auto digest = one.finish();
  whole_.update(std::as_bytes(std::span(digest)));
  ++done_;
}

void PartsDigest::arrived(std::span<const std::byte> so_far) {
  while (so_far.size() / part_ >= done_ + at_once_) digest_whole(so_far, at_once_);
}

std::string PartsDigest::finish(std::span<const std::byte> object) {
  arrived(object);
  const auto left = object.size() / part_ - done_;
  if (left > 1) {
    digest_whole(object, left);
  } else if (left == 1) {
    add(object.subspan(done_ * part_, part_));
  }
  if (const auto last = object.subspan(done_ * part_); !last.empty()) add(last);
  return to_hex(whole_.finish()) + "-" + std::to_string(done_);
}

}  // namespace sluice::sources
