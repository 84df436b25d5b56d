#include "sources/cache_disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

int write_all(const Fd& file, std::string_view text) {
  while (!text.empty()) {
    const auto wrote = ::write(file.get(), text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return 0;
}

int write_new(const fs::path& path, std::string_view text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  return file ? write_all(file, text) : errno;
}

}  // namespace

Failure cache_failure(int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  return unavailable(
      full ? "disk_full" : "disk_failed",
      std::string("the cache cannot be written: ") + std::strerror(error) +
          (full ? "; free some space, or name another directory with --cache-dir" : ""));
}

int write_whole(const fs::path& path, std::string_view text) {
  auto next = path;
  next += "." + std::to_string(::getpid()) + ".next";
  int error = write_new(next, text);
  if (error == 0 && ::rename(next.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) ::unlink(next.c_str());
  return error;
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

bool is_whole_entry(const fs::path& entry) {
  std::error_code ignored;
  return fs::exists(entry / kCacheRecord, ignored) && fs::exists(entry / "files", ignored);
}

}  // namespace sluice::sources
