#include "tools/batch/shard_objects.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "sources/object_tree.h"
#include "sources/retry.h"
#include "tools/batch/few_at_once.h"
#include "tools/batch/shards.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using sources::Object;
using sources::Range;

constexpr std::uint64_t kMagic = 4;
constexpr std::uint64_t kEnd = 8;               // the footer's length, and the magic
constexpr std::uint64_t kTail = 64 << 10;       // most footers are shorter
constexpr std::uint64_t kLongest = 256u << 20;  // of a footer that is fetched by itself

Failure unwritable(int error) {
  return unavailable("unwritable",
                     std::string("the staging folder cannot be written: ") + std::strerror(error));
}

Result<Fd> open_copy(const fs::path& path, std::uint64_t size) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  Fd out(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out || ::ftruncate(out.get(), static_cast<off_t>(size)) != 0) return unwritable(errno);
  return out;
}

Result<void> fetch_piece(sources::ObjectStore& store, const Object& object, Range range,
                         const Fd& to, const std::atomic<bool>& stop) {
  if (range.length == 0) return {};
  std::string bytes;
  SLUICE_CHECK(sources::with_retries(stop, [&] {
    bytes.clear();
    const auto take = [&](std::span<const std::byte> piece) {
      bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      return true;
    };
    return store.fetch(object, range, take, stop);
  }));
  const auto put = ::pwrite(to.get(), bytes.data(), bytes.size(), static_cast<off_t>(range.offset));
  return put == static_cast<ssize_t>(bytes.size()) ? Result<void>() : unwritable(errno);
}

// What is no Parquet file is told by whoever reads the copy.
Result<void> fetch_footer(sources::ObjectStore& store, const Object& object, const fs::path& copies,
                          const std::atomic<bool>& stop) {
  SLUICE_TRY(const auto fd, open_copy(copies / object.key, object.size));
  const auto tail = std::min(object.size, kTail);
  SLUICE_CHECK(fetch_piece(store, object, {object.size - tail, tail}, fd, stop));
  SLUICE_CHECK(fetch_piece(store, object, {0, std::min(object.size, kMagic)}, fd, stop));
  std::array<unsigned char, 4> length{};
  if (object.size < kEnd ||
      ::pread(fd.get(), length.data(), length.size(), static_cast<off_t>(object.size - kEnd)) !=
          static_cast<ssize_t>(length.size())) {
    return {};
  }
  std::uint64_t footer = kEnd;
  for (std::size_t i = 0; i < length.size(); ++i) footer += std::uint64_t{length[i]} << (8 * i);
  if (footer <= tail || footer > std::min(object.size, kLongest)) return {};
  return fetch_piece(store, object, {object.size - footer, footer - tail}, fd, stop);
}

bool is_known_before(const std::vector<Object>& objects, const Shard& shard) {
  return shard.count > 1 && objects.size() > 1 &&
         std::ranges::all_of(objects, [](const Object& object) {
           const auto format = clients::table_format(object.key);
           return format && *format == clients::TableFormat::kParquet && !object.etag.empty() &&
                  sources::is_safe_key(object.key);
         });
}

}  // namespace

Result<std::vector<std::size_t>> objects_of_shard(sources::ObjectStore& store,
                                                  const std::vector<Object>& objects,
                                                  const Shard& shard, const fs::path& copies,
                                                  const std::atomic<bool>& stop) {
  std::set<std::size_t> out;
  if (!is_known_before(objects, shard) || !store.has_ranges()) {
    for (std::size_t i = 0; i < objects.size(); ++i) out.insert(i);
    return std::vector(out.begin(), out.end());
  }
  SLUICE_CHECK(few_at_once(objects.size(), [&](std::size_t index) {
    return fetch_footer(store, objects[index], copies, stop);
  }));
  std::vector<fs::path> files;
  for (const auto& object : objects) files.push_back(copies / object.key);
  SLUICE_TRY(const auto input, input_of(files, copies));
  SLUICE_TRY(const auto parts, cut(input));
  const PartRange range = range_of(shard, parts.parts.size());
  for (auto index = range.first; index < range.last; ++index) out.insert(parts.parts[index].file);
  return std::vector(out.begin(), out.end());
}

}  // namespace sluice::tools::batch
