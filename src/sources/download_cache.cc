#include "sources/download_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "sources/cache_disk.h"
#include "sources/cache_room.h"
#include "sources/json_fields.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::chrono::seconds kPatience{3};
constexpr std::size_t kMaxListing = std::size_t{1} << 30;
constexpr std::size_t kMaxRecord = std::size_t{64} << 20;

// Waits for others who make room. Without an effect where the disk knows no locks: then two that do
// so at the same time may both find the same room.
Fd lock_root(const fs::path& root) {
  Fd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (fd && ::flock(fd.get(), LOCK_EX) != 0 && errno == EINTR) continue;
  return fd;
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

bool DownloadCache::keep_listing(const std::string& text) const {
  return write_whole(home_ / "listing.json", text) == 0;
}

void DownloadCache::touch(const std::string& id) const {
  ::utimensat(AT_FDCWD, (home_ / id / kCacheRecord).c_str(), nullptr, 0);
}

std::optional<DownloadCache::Entry> DownloadCache::find(const std::string& id) const {
  const auto path = home_ / id;
  if (!is_whole_entry(path)) return std::nullopt;
  Fd lock = open_locked(path, LOCK_SH);
  if (!lock || !is_whole_entry(path)) return std::nullopt;
  touch(id);
  return Entry{id, path, std::make_shared<const Fd>(std::move(lock)), true};
}

Result<DownloadCache::Entry> DownloadCache::enter(const std::string& id,
                                                  const std::function<bool()>& wanted) const {
  const auto path = home_ / id;
  auto tell_at = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return cache_failure(error.value());
    if (auto found = find(id)) return std::move(*found);
    if (!is_whole_entry(path)) {
      Fd lock = open_locked(path, LOCK_EX);
      if (lock && !is_whole_entry(path)) {
        return Entry{id, path, std::make_shared<const Fd>(std::move(lock)), false};
      }
    }
    if (!wanted()) return fail(Code::kCancelled, "stopped", "nobody wants it any more");
    if (std::chrono::steady_clock::now() >= tell_at) {
      log::info("waiting for another that downloads the same version into this cache");
      tell_at = std::chrono::steady_clock::time_point::max();
    }
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
  const int error = write_whole(filled.directory / kCacheReserved, std::to_string(bytes));
  if (error != 0) return cache_failure(error);
  return {};
}

Result<std::filesystem::path> DownloadCache::begin(const Entry& entry) const {
  const auto part = entry.directory / "part";
  std::error_code error;
  // A note of pieces without the files that it speaks of is none.
  if (!fs::exists(part, error)) discard(entry);
  fs::create_directories(part, error);
  if (error) return cache_failure(error.value());
  return part;
}

// Not what is reserved: it is fetched again.
void DownloadCache::discard(const Entry& entry) const {
  std::error_code ignored;
  for (const char* name : {kCacheRecord, "pieces", "part", "files"}) {
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
  if (error) return cache_failure(error.value());
  if (const int failed = write_whole(entry.directory / kCacheRecord, record.dump()); failed != 0) {
    return cache_failure(failed);
  }
  fs::remove(entry.directory / "pieces", error);
  fs::remove(entry.directory / kCacheReserved, error);
  {
    const std::lock_guard lock(mutex_);
    checked_.insert(entry.id);
  }
  // Others may read it from now on.
  ::flock(entry.lock->get(), LOCK_SH);
  entry.whole = true;
  return {};
}

bool DownloadCache::check(const Entry& entry, const std::vector<Object>& objects) {
  {
    const std::lock_guard lock(mutex_);
    if (checked_.contains(entry.id)) return true;
  }
  const auto text = read_text(entry.directory / kCacheRecord, kMaxRecord, "the cache's record");
  const auto record = json::parse(text.value_or(""), nullptr, false);
  if (!record.is_array()) return false;
  std::set<std::string> keys;
  for (const auto& file : record) {
    const auto key = text_of(file, "key");
    keys.insert(key);
    const bool good =
        is_safe_key(key) && check_file(entry.directory / "files" / key, number_of(file, "size"),
                                       text_of(file, "digest"));
    if (!good) return false;
  }
  // Half a record is none, whatever became of the rest.
  auto expected = objects;
  take_unsafe(expected);
  const bool all = std::ranges::all_of(
      expected, [&](const Object& object) { return keys.contains(object.key); });
  if (!all) return false;
  const std::lock_guard lock(mutex_);
  checked_.insert(entry.id);
  return true;
}

Result<ModelFile> DownloadCache::read(const Entry& entry, const WantedVersion& version) {
  struct Kept {
    Fd fd;
    std::shared_ptr<const Fd> lock;
  };
  const auto keep = [&](Fd fd) {
    auto kept = std::make_shared<const Kept>(std::move(fd), entry.lock);
    return std::shared_ptr<const Fd>(kept, &kept->fd);
  };
  SLUICE_TRY(const auto root, open_directory(entry.directory / "files"));
  SLUICE_TRY(auto file, open_beneath(root, version.location));
  SLUICE_TRY(auto directory,
             open_beneath(root, version.directory.empty() ? "." : version.directory));
  ModelFile out;
  out.name = version.location.substr(version.location.rfind('/') + 1);
  SLUICE_TRY(out.contents, FileBytes::map(keep(std::move(file)), "the model file"));
  out.directory = keep(std::move(directory));
  return out;
}

}  // namespace sluice::sources
