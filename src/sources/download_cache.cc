#include "sources/download_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "sources/json_fields.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxListing = std::size_t{1} << 30;
constexpr std::size_t kMaxRecord = std::size_t{64} << 20;
constexpr std::size_t kMaxReserved = 32;
constexpr const char* kRecord = "record.json";
constexpr const char* kReserved = "reserved";

Failure disk_failure(int error) {
  return unavailable("disk_failed",
                     std::string("the cache cannot be used: ") + std::strerror(error));
}

// As a whole or not at all, also where two processes write it.
bool write_file(const fs::path& path, const std::string& text) {
  auto next = path;
  next += "." + std::to_string(::getpid()) + ".next";
  std::ofstream file(next, std::ios::binary);
  file << text;
  file.close();
  std::error_code error;
  if (file) fs::rename(next, path, error);
  if (file && !error) return true;
  fs::remove(next, error);
  return false;
}

Fd open_locked(const fs::path& directory, int how) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), how | LOCK_NB) != 0) return {};
  // Whoever had it locked may have removed it.
  struct stat mine {};
  struct stat there {};
  const bool same = ::fstat(fd.get(), &mine) == 0 && ::stat(directory.c_str(), &there) == 0 &&
                    mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
  return same ? std::move(fd) : Fd();
}

// Waits for others who make room. Without an effect where the disk knows no locks: then two that do
// so at the same time may both find the same room.
Fd lock_root(const fs::path& root) {
  Fd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (fd && ::flock(fd.get(), LOCK_EX) != 0 && errno == EINTR) continue;
  return fd;
}

bool is_whole(const fs::path& entry) {
  std::error_code ignored;
  return fs::exists(entry / kRecord, ignored) && fs::exists(entry / "files", ignored);
}

std::uint64_t reserved_for(const fs::path& entry) {
  const auto text = read_text(entry / kReserved, kMaxReserved, "a reservation of the cache");
  return text ? parse_uint(*text).value_or(0) : 0;
}

struct Used {
  fs::path path;
  std::uint64_t bytes = 0;
  fs::file_time_type last;
};

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
  if (!is_whole(entry)) out.bytes = std::max(out.bytes, reserved_for(entry));
  std::error_code none;
  const auto record = fs::last_write_time(entry / kRecord, none);
  out.last = none ? fs::last_write_time(entry, error) : record;
  return out;
}

std::vector<Used> measure_all(const fs::path& root) {
  std::vector<Used> out;
  std::error_code error;
  for (const auto& store : fs::directory_iterator(root, error)) {
    std::error_code inside;
    for (const auto& entry : fs::directory_iterator(store.path(), inside)) {
      if (entry.is_directory(inside)) out.push_back(measure(entry.path()));
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
  fs::remove(path / kRecord, error);
  fs::remove_all(path, error);
  return !error;
}

// Until all but `filled` take no more than `most`. False: what is left is in use.
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

bool check_file(const fs::path& path, std::uint64_t size, const std::string& record) {
  auto fd = std::make_shared<const Fd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*fd) return false;
  const auto bytes = FileBytes::map(std::move(fd), "a file of the cache");
  if (!bytes || bytes->bytes().size() != size) return false;
  auto digest = ObjectDigest::of_record(record, size);
  digest.arrived(bytes->bytes());
  const auto verdict = digest.finish(true);
  return verdict.right && verdict.checked;
}

}  // namespace

Result<std::unique_ptr<DownloadCache>> DownloadCache::open(const fs::path& root,
                                                           std::uint64_t limit,
                                                           const std::string& store) {
  const auto home = root / store;
  std::error_code error;
  fs::create_directories(home, error);
  if (error || ::access(home.c_str(), W_OK | X_OK) != 0) {
    return fail(Code::kFailedPrecondition, "no_cache",
                "the directory for downloaded models cannot be written (" +
                    (error ? error.message() : std::string(std::strerror(errno))) +
                    "); name another with --cache-dir");
  }
  // What a store shows to some is not for everybody on this machine.
  fs::permissions(home, fs::perms::owner_all, error);
  return std::unique_ptr<DownloadCache>(new DownloadCache(root, home, limit));
}

std::optional<std::string> DownloadCache::listing() const {
  auto text = read_text(home_ / "listing.json", kMaxListing, "the last listing");
  if (!text) return std::nullopt;
  return std::move(*text);
}

void DownloadCache::keep_listing(const std::string& text) const {
  if (!write_file(home_ / "listing.json", text)) {
    log::warn(
        "the listing of the store cannot be kept in the cache; a start without the store "
        "will not know what there was");
  }
}

Result<DownloadCache::Entry> DownloadCache::enter(const std::string& id,
                                                  const std::function<bool()>& wanted) const {
  const auto path = home_ / id;
  while (true) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return disk_failure(error.value());
    if (is_whole(path)) {
      Fd lock = open_locked(path, LOCK_SH);
      if (lock && is_whole(path)) {
        // The time of the last use, by which room is made.
        ::utimensat(AT_FDCWD, (path / kRecord).c_str(), nullptr, 0);
        return Entry{id, path, std::make_shared<const Fd>(std::move(lock)), true};
      }
    } else {
      Fd lock = open_locked(path, LOCK_EX);
      if (lock && !is_whole(path)) {
        return Entry{id, path, std::make_shared<const Fd>(std::move(lock)), false};
      }
    }
    if (!wanted()) return fail(Code::kCancelled, "stopped", "nobody wants it any more");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Result<void> DownloadCache::make_room(const Entry& filled, std::uint64_t bytes) const {
  const auto what =
      "the version takes " + human_bytes(bytes) + ", and the cache may have " + human_bytes(limit_);
  if (bytes > limit_) {
    return fail(Code::kResourceExhausted, "no_room", what + "; raise --cache-size");
  }
  const Fd turn = lock_root(root_);
  if (!remove_oldest(root_, filled.directory, limit_ - bytes)) {
    // Passes by itself: others are done with loading, or let go of what they have mapped.
    return unavailable("no_room", what +
                                      ", most of which is in use; raise --cache-size, or wait "
                                      "until less of it is");
  }
  if (!write_file(filled.directory / kReserved, std::to_string(bytes))) return disk_failure(EIO);
  return {};
}

Result<std::filesystem::path> DownloadCache::begin(const Entry& entry) const {
  const auto part = entry.directory / "part";
  std::error_code error;
  // A note of pieces without the files that it speaks of is none.
  if (!fs::exists(part, error)) discard(entry);
  fs::create_directories(part, error);
  if (error) return disk_failure(error.value());
  return part;
}

// Not what is reserved: it is fetched again.
void DownloadCache::discard(const Entry& entry) const {
  std::error_code ignored;
  for (const char* name : {kRecord, "pieces", "part", "files"}) {
    fs::remove_all(entry.directory / name, ignored);
  }
}

void DownloadCache::set_aside(const Entry& entry) const {
  auto aside = entry.directory;
  aside += "." + std::to_string(::getpid()) + ".old";
  std::error_code error;
  fs::remove_all(aside, error);
  fs::rename(entry.directory, aside, error);
  if (!error) fs::remove_all(aside, error);
}

Result<void> DownloadCache::complete(Entry& entry, const std::vector<Downloaded>& files) {
  json record = json::array();
  for (const auto& file : files) {
    record.push_back({{"key", file.key}, {"size", file.size}, {"digest", file.digest}});
  }
  std::error_code error;
  fs::remove_all(entry.directory / "files", error);
  fs::rename(entry.directory / "part", entry.directory / "files", error);
  if (error) return disk_failure(error.value());
  if (!write_file(entry.directory / kRecord, record.dump())) return disk_failure(EIO);
  fs::remove(entry.directory / "pieces", error);
  fs::remove(entry.directory / kReserved, error);
  {
    const std::lock_guard lock(mutex_);
    checked_.insert(entry.id);
  }
  // Others may read it from now on.
  ::flock(entry.lock->get(), LOCK_SH);
  entry.whole = true;
  return {};
}

bool DownloadCache::check(const Entry& entry) {
  {
    const std::lock_guard lock(mutex_);
    if (checked_.contains(entry.id)) return true;
  }
  const auto text = read_text(entry.directory / kRecord, kMaxRecord, "the cache's record");
  const auto record = json::parse(text.value_or(""), nullptr, false);
  if (!record.is_array()) return false;
  for (const auto& file : record) {
    const auto key = text_of(file, "key");
    const bool good =
        is_safe_key(key) && check_file(entry.directory / "files" / key, number_of(file, "size"),
                                       text_of(file, "digest"));
    if (!good) return false;
  }
  const std::lock_guard lock(mutex_);
  checked_.insert(entry.id);
  return true;
}

Result<ModelFile> DownloadCache::read(const Entry& entry, const std::string& file,
                                      const std::string& directory) {
  struct Kept {
    Fd fd;
    std::shared_ptr<const Fd> lock;
  };
  const auto keep = [&](Fd fd) {
    auto kept = std::make_shared<const Kept>(std::move(fd), entry.lock);
    return std::shared_ptr<const Fd>(kept, &kept->fd);
  };
  SLUICE_TRY(const auto root, open_directory(entry.directory / "files"));
  SLUICE_TRY(auto contents, open_beneath(root, file));
  SLUICE_TRY(auto beside, open_beneath(root, directory.empty() ? "." : directory));
  ModelFile out;
  out.name = file.substr(file.rfind('/') + 1);
  SLUICE_TRY(out.contents, FileBytes::map(keep(std::move(contents)), "the model file"));
  out.directory = keep(std::move(beside));
  return out;
}

}  // namespace sluice::sources
