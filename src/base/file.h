// Opening files that someone else named.
//
// Every path inside a repository is opened relative to a directory descriptor with openat2 and
// RESOLVE_BENEATH, so that no "..", absolute path or symbolic link leads outside; what was opened
// is then checked on the descriptor (a regular file, within the size that was allowed), never on
// the string.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace sluice {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// The bytes of a file, copied aside: whatever happens to the file afterwards (written on, cut off,
// replaced), they stay what they were. They lie in sealed memory with a descriptor, so that another
// process can be given the same bytes, and live as long as any copy does.
class FileBytes {
 public:
  FileBytes() = default;
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

  // `what` names the file in messages ("the model file"). Errors: kInvalidArgument when `fd` is not
  // a regular file; kUnavailable/`changing` when it changed while it was read.
  static Result<FileBytes> copy(const Fd& fd, std::string_view what);
  // Mapped without a copy: only for a file of our own that nobody changes any more
  // (cutting it off would end this process). Removing its name is allowed. Errors: those of `copy`.
  static Result<FileBytes> map(std::shared_ptr<const Fd> fd, std::string_view what);
  // Of a descriptor that `descriptor` gave, in whichever process.
  static Result<FileBytes> of_copy(std::shared_ptr<const Fd> fd);

  // Null for an empty file.
  const Fd* descriptor() const { return descriptor_.get(); }
  // They lie in sealed memory; else in a file that `map` was given.
  bool sealed() const;

 private:
  std::shared_ptr<const Fd> descriptor_;
  std::shared_ptr<const void> mapping_;
  std::span<const std::byte> bytes_;
};

// A directory of the operator's choosing (symbolic links in `path` are followed).
Result<Fd> open_directory(const std::filesystem::path& path);

// `relative` inside `directory` and nowhere else. Does not block on a FIFO.
Result<Fd> open_beneath(const Fd& directory, const std::filesystem::path& relative);

// A whole small text file (configuration, labels) of at most `limit` bytes.
Result<std::string> read_text(const Fd& fd, std::size_t limit, std::string_view what);
Result<std::string> read_text(const std::filesystem::path& path, std::size_t limit,
                              std::string_view what);

}  // namespace sluice
