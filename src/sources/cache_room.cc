#include "sources/cache_room.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "sources/cache_disk.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxReserved = 32;

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_store_name(std::string_view name) { return name.size() == kStoreName && is_hex(name); }

// Or of one that was set aside: <entry>.<process>.old
bool is_entry_name(std::string_view name) {
  if (!is_hex(name.substr(0, kEntryName)) || name.size() < kEntryName) return false;
  return name.size() == kEntryName || (name[kEntryName] == '.' && name.ends_with(".old"));
}

bool is_of_an_entry(std::string_view name) {
  constexpr std::array<std::string_view, 5> kParts = {kCacheRecord, kCacheReserved, "pieces",
                                                      "part", "files"};
  if (std::ranges::find(kParts, name) != kParts.end()) return true;
  // What a process was writing when it ended.
  return name.ends_with(".next") &&
         (name.starts_with(kCacheRecord) || name.starts_with(kCacheReserved));
}

bool is_own_directory(const fs::directory_entry& item) {
  std::error_code error;
  return !item.is_symlink(error) && item.is_directory(error);
}

bool is_entry(const fs::directory_entry& item) {
  if (!is_entry_name(item.path().filename().string()) || !is_own_directory(item)) return false;
  std::error_code error;
  const fs::directory_iterator inside(item.path(), error);
  return !error && std::all_of(fs::begin(inside), fs::end(inside), [](const auto& part) {
    return is_of_an_entry(part.path().filename().string());
  });
}

struct Used {
  fs::path path;
  std::uint64_t bytes = 0;
  fs::file_time_type last;
};

std::uint64_t reserved_for(const fs::path& entry) {
  const auto text = read_text(entry / kCacheReserved, kMaxReserved, "a reservation of the cache");
  return text ? parse_uint(*text).value_or(0) : 0;
}

Used measure(const fs::path& entry) {
  Used out{entry, 0, fs::file_time_type::min()};
  std::error_code error;
  for (fs::recursive_directory_iterator it(entry, error), end; !error && it != end;
       it.increment(error)) {
    struct stat info {};
    // What is really on the disk: files that are being fetched have holes.
    if (::lstat(it->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      out.bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
  }
  if (!is_whole_entry(entry)) out.bytes = std::max(out.bytes, reserved_for(entry));
  std::error_code none;
  const auto record = fs::last_write_time(entry / kCacheRecord, none);
  out.last = none ? fs::last_write_time(entry, error) : record;
  return out;
}

// The oldest first.
std::vector<Used> measure_all(const fs::path& root) {
  std::vector<Used> out;
  std::error_code error;
  for (const auto& store : fs::directory_iterator(root, error)) {
    if (!is_store_name(store.path().filename().string()) || !is_own_directory(store)) continue;
    std::error_code inside;
    for (const auto& entry : fs::directory_iterator(store.path(), inside)) {
      if (is_entry(entry)) out.push_back(measure(entry.path()));
    }
  }
  std::ranges::sort(out, {}, &Used::last);
  return out;
}

// False where somebody uses it.
bool remove_entry(const fs::path& path) {
  const Fd lock = open_locked(path, LOCK_EX);
  if (!lock) return false;
  // The record goes first: half an entry is none.
  std::error_code error;
  fs::remove(path / kCacheRecord, error);
  fs::remove_all(path, error);
  return !error;
}

}  // namespace

bool remove_oldest(const fs::path& root, const fs::path& filled, std::uint64_t most) {
  const auto entries = measure_all(root);
  std::uint64_t used = 0;
  for (const auto& entry : entries) {
    if (entry.path != filled) used += entry.bytes;
  }
  for (const auto& entry : entries) {
    if (used <= most) break;
    if (entry.path == filled || !remove_entry(entry.path)) continue;
    used -= entry.bytes;
    log::info("a downloaded version of " + human_bytes(entry.bytes) +
              " was removed from the cache, to make room");
  }
  return used <= most;
}

}  // namespace sluice::sources
