#include "sources/object_digest.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace sluice::sources {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
// What the tools of the trade upload with: AWS CLI and MinIO 8 and 16, boto and Java 5, rclone 5,
// s3cmd 15, Ceph 15, Hadoop 64 and 100 …
constexpr std::array<std::uint64_t, 17> kPartSizes = {5,  6,  8,  10, 12,  15,  16,  20, 25,
                                                      32, 50, 64, 96, 100, 128, 256, 512};

bool is_hex(std::string_view text, std::size_t length) {
  return text.size() == length && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string plain(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  std::string out(etag);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return out;
}

bool fits(std::uint64_t size, std::uint64_t part, std::uint64_t count) {
  return part > 0 && (size + part - 1) / part == count;
}

std::vector<std::uint64_t> likely_sizes(std::uint64_t size, std::uint64_t count) {
  std::vector<std::uint64_t> out;
  for (const auto mebibytes : kPartSizes) {
    if (fits(size, mebibytes * kMiB, count)) out.push_back(mebibytes * kMiB);
  }
  // Or whole mebibytes, as few as make so many parts.
  const auto least = ((size + count - 1) / count + kMiB - 1) / kMiB * kMiB;
  if (fits(size, least, count) && std::ranges::find(out, least) == out.end()) out.push_back(least);
  return out;
}

// All whole mebibytes that make so many parts, as many as `bytes` of digests allow. Large objects
// of few parts have too many.
std::vector<std::uint64_t> other_sizes(std::uint64_t size, std::uint64_t count,
                                       std::uint64_t bytes) {
  std::vector<std::uint64_t> out;
  if (count < 2) return out;  // whatever its size, the one part has one digest
  const auto least = ((size + count - 1) / count + kMiB - 1) / kMiB * kMiB;
  for (auto part = least; fits(size, part, count) && bytes >= size; part += kMiB, bytes -= size) {
    if (std::ranges::find(kPartSizes, part / kMiB) == kPartSizes.end()) out.push_back(part);
  }
  return out;
}

}  // namespace

std::uint64_t parts_of_etag(std::string_view etag) {
  const auto text = plain(etag);
  const auto dash = text.find('-');
  if (dash == std::string::npos || !is_hex(std::string_view(text).substr(0, dash), 32)) return 0;
  return parse_uint(std::string_view(text).substr(dash + 1)).value_or(0);
}

void ObjectDigest::hold_against(Digest::Kind kind, std::string hex) {
  kind_ = kind;
  wanted_ = std::move(hex);
  whole_.emplace_back(kind);
}

ObjectDigest::ObjectDigest(const Checksum& checksum) { hold_against(checksum.kind, checksum.hex); }

ObjectDigest::ObjectDigest(const Object& object, const Details& details) {
  choose(object, details);
}

void ObjectDigest::choose(const Object& object, const Details& details) {
  const auto etag = plain(object.etag);
  const auto& checksum = details.checksum;
  if (!object.sha256.empty()) return hold_against(Digest::Kind::kSha256, object.sha256);
  if (checksum && !checksum->weak()) return hold_against(checksum->kind, checksum->hex);
  if (is_hex(etag, 32)) {
    from_etag_ = true;
    return hold_against(Digest::Kind::kMd5, etag);
  }
  if (const auto count = parts_of_etag(etag); count > 0 && count <= 10'000) {
    count_ = count;
    exact_ = fits(object.size, details.part_size, count);
    auto sizes = exact_ ? std::vector{details.part_size} : likely_sizes(object.size, count);
    for (const auto size : sizes) parts_.emplace_back(size);
    from_etag_ = !parts_.empty();
    if (from_etag_) {
      wanted_ = etag;
      return;
    }
  }
  if (checksum) return hold_against(checksum->kind, checksum->hex);
  hold_against(Digest::Kind::kSha256, "");
}

bool ObjectDigest::needs_details(const Object& object) {
  // An MD5 of less takes no longer than the question.
  constexpr std::uint64_t kLarge = 16 * kMiB;
  return object.sha256.empty() && (object.size >= kLarge || !is_hex(plain(object.etag), 32));
}

ObjectDigest ObjectDigest::of_record(const std::string& record, std::uint64_t size) {
  const auto colon = record.find(':');
  const auto word = std::string_view(record).substr(0, colon);
  auto value = colon == std::string::npos ? std::string() : record.substr(colon + 1);
  if (const auto kind = digest_kind(word)) return ObjectDigest(Checksum{*kind, std::move(value)});
  Object object;
  object.size = size;
  object.etag = std::move(value);
  constexpr std::string_view kParts = "parts-";
  Details details;
  if (word.starts_with(kParts)) {
    details.part_size = parse_uint(word.substr(kParts.size())).value_or(0);
  }
  return {object, details};
}

void ObjectDigest::arrived(std::span<const std::byte> so_far) {
  const auto more = so_far.subspan(so_far_.size());
  for (auto& digest : whole_) digest.update(more);
  for (auto& parts : parts_) parts.arrived(so_far);
  so_far_ = so_far;
}

// One more size that nobody thought of while the object came.
bool ObjectDigest::fits_parts(std::uint64_t part, Verdict& verdict) const {
  const auto digest = PartsDigest(part).finish(so_far_);
  if (digest != wanted_) return false;
  verdict.record = "parts-" + std::to_string(part) + ":" + digest;
  return true;
}

ObjectDigest::Verdict ObjectDigest::finish_parts() {
  Verdict out;
  for (auto& parts : parts_) {
    const auto digest = parts.finish(so_far_);
    out.right = digest == wanted_;
    if (out.record.empty() || out.right) {
      out.record = "parts-" + std::to_string(parts.part()) + ":" + digest;
    }
    if (out.right) break;
  }
  return out;
}

ObjectDigest::Verdict ObjectDigest::finish(bool etag_counts) {
  // About a second of one processor.
  constexpr std::uint64_t kMostDigests = std::uint64_t{1} << 30;
  const bool known = !wanted_.empty() && (etag_counts || !from_etag_);
  if (!whole_.empty()) {
    const auto digest = to_hex(whole_[0].finish());
    return {.right = !known || digest == wanted_,
            .checked = known,
            .strange_parts = !known && etag_counts && count_ > 0,
            .record = std::string(word_of(kind_)) + ":" + digest};
  }
  auto out = finish_parts();
  const bool tries = known && !out.right && !exact_;
  if (tries) {
    out.right = std::ranges::any_of(other_sizes(so_far_.size(), count_, kMostDigests),
                                    [&](auto part) { return fits_parts(part, out); });
  }
  out.checked = known && (out.right || exact_);
  out.strange_parts = known && !out.checked;
  // A size that nobody knows may be an uncommon one: that proves nothing.
  if (!out.checked) out.right = true;
  return out;
}

}  // namespace sluice::sources
