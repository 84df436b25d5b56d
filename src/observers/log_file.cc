// The prediction log in a file of lines, which is rotated.
//
// A buffer is one `write` at the file's end, so that a process that is killed leaves whole lines. A
// write that finds the disk full half-way is taken back. A file that somebody has moved away (as
// logrotate does) is opened anew under its name. Two processes may write to one file for a while,
// as an old and a new server do.

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "observers/log_rotation.h"
#include "observers/log_target.h"

namespace sluice::observers {
namespace {

namespace fs = std::filesystem;

// May be read by the server's group: there are features and users in it.
constexpr mode_t kRights = 0640;

std::string shown(const fs::path& file) {
  return "the prediction log '" + printable(file.filename().native()) + "'";
}

Failure unwritable(const fs::path& file, int error) {
  return unavailable("unwritable",
                     shown(file) + " cannot be written: " + std::strerror(error) +
                         "; what comes waits for a while, then it is dropped and counted");
}

class LogFile final : public LogTarget {
 public:
  LogFile(const PredictionLogOptions& options, LogCounters& counters)
      : file_(options.where),
        rotate_(options.rotate),
        rotation_(file_,
                  options.keep > 0 ? static_cast<std::uint64_t>(options.keep) : LogRotation::kAny,
                  LogRotation::kAny),
        counters_(counters) {}

  // Errors: kInvalidArgument/`bad_log`; kUnavailable/`unwritable`.
  Result<void> open();
  Result<void> write(LogBatch& batch) override;

 private:
  Result<void> rotate();
  Result<std::uint64_t> size_now();
  bool ends_with_a_line(std::uint64_t size) const;

  const fs::path file_;
  const std::uint64_t rotate_;
  const LogRotation rotation_;
  LogCounters& counters_;
  Fd fd_;
};

Result<void> LogFile::open() {
  // Not to wait for whoever reads a FIFO of that name, which is refused.
  Fd fd(::open(file_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, kRights));
  if (!fd) {
    return unavailable("unwritable", shown(file_) + " cannot be opened: " + std::strerror(errno) +
                                         "; its directory must exist, and this server may write "
                                         "there");
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return unwritable(file_, errno);
  if (!S_ISREG(info.st_mode)) {
    return invalid("bad_log", shown(file_) +
                                  " is no file but a directory, a pipe or a device; name a file, "
                                  "or stdout");
  }
  fd_ = std::move(fd);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size == 0 || ends_with_a_line(size)) return {};
  log::warn(shown(file_) + " ends in the middle of a line; it is put aside as it is");
  return rotate();
}

bool LogFile::ends_with_a_line(std::uint64_t size) const {
  char last = 0;
  return ::pread(fd_.get(), &last, 1, static_cast<off_t>(size - 1)) == 1 && last == '\n';
}

Result<void> LogFile::rotate() {
  const auto to = rotation_.name_at(std::time(nullptr));
  if (::renameat2(AT_FDCWD, file_.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0 &&
      errno != ENOENT) {
    return unwritable(file_, errno);
  }
  counters_.rotations.fetch_add(1, std::memory_order_relaxed);
  SLUICE_CHECK(open());
  if (!rotation_.remove_oldest()) {
    log::warn("an old file of " + shown(file_) + " cannot be removed; the disk may become full");
  }
  return {};
}

// Of the file that has the name, which is opened anew where it is another one.
Result<std::uint64_t> LogFile::size_now() {
  struct stat ours {};
  struct stat named {};
  if (!fd_ || ::fstat(fd_.get(), &ours) != 0 || ::stat(file_.c_str(), &named) != 0 ||
      ours.st_ino != named.st_ino || ours.st_dev != named.st_dev) {
    SLUICE_CHECK(open());
    if (::fstat(fd_.get(), &ours) != 0) return unwritable(file_, errno);
  }
  return static_cast<std::uint64_t>(ours.st_size);
}

Result<void> LogFile::write(LogBatch& batch) {
  SLUICE_TRY(auto size, size_now());
  const std::size_t want = batch.text.size();
  if (size > 0 && size + want > rotate_) {
    SLUICE_CHECK(rotate());
    SLUICE_TRY(size, size_now());
  }
  ssize_t got = 0;
  do {
    got = ::write(fd_.get(), batch.text.data(), want);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return unwritable(file_, errno);
  if (static_cast<std::size_t>(got) < want) {
    // Half of it: the file ends there. Taken back, unless somebody else has written behind it.
    struct stat info {};
    const auto end = size + static_cast<std::uint64_t>(got);
    if (::fstat(fd_.get(), &info) == 0 && static_cast<std::uint64_t>(info.st_size) == end) {
      if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return unwritable(file_, errno);
    }
    return unwritable(file_, ENOSPC);
  }
  counters_.written.fetch_add(batch.lines, std::memory_order_relaxed);
  counters_.bytes.fetch_add(want, std::memory_order_relaxed);
  batch = {};
  return {};
}

}  // namespace

Result<std::unique_ptr<LogTarget>> open_log_file(const PredictionLogOptions& options,
                                                 LogCounters& counters) {
  auto out = std::make_unique<LogFile>(options, counters);
  SLUICE_CHECK(out->open());
  return out;
}

}  // namespace sluice::observers
