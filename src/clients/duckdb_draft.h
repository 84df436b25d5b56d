// A file that is being written, and has its name only when it is whole. Only the duckdb_* files of
// this room include it.
//
// Thread-safety: one owner.
#pragma once

#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace sluice::clients {

// In the directory of the file, hidden, and with another ending, so that no pattern for tables
// matches it. Removed again unless it is published. Errors: kUnavailable/`unwritable`.
class FileDraft {
 public:
  // Its rights are those of any new file: the process' umask decides.
  static Result<FileDraft> make(const std::filesystem::path& file);
  FileDraft(FileDraft&& other) noexcept;
  FileDraft& operator=(FileDraft&&) = delete;
  ~FileDraft();

  // What it will be called.
  const std::filesystem::path& file() const { return file_; }
  const Fd& fd() const { return fd_; }

  // Its bytes and then its name are on the disk, so that not even a power cut leaves half of it. A
  // file that has the name is replaced.
  Result<void> publish();

 private:
  explicit FileDraft(std::filesystem::path file) : file_(std::move(file)) {}

  std::filesystem::path file_;
  std::filesystem::path name_;  // empty when it is no more
  Fd fd_;
};

}  // namespace sluice::clients
