// Where one job keeps what it has from a store and what it will send there: see tools/batch/
// staging.h for what lies in it.
//
// Thread-safety: one thread at a time.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/file.h"

namespace sluice::tools::batch {

class StagingFolder {
 public:
  // `job` is what tells it from all others. Nobody else may read it. Errors: kAborted/`busy` where
  // another process works in it; kUnavailable/`unwritable`.
  static Result<StagingFolder> open(const std::filesystem::path& directory, const std::string& job);

  const std::filesystem::path& path() const { return path_; }
  // A folder in it, made where it is missing.
  Result<std::filesystem::path> folder(const std::string& name) const;
  // Errors: kResourceExhausted/`no_room` where so many bytes do not fit.
  Result<void> check_room(std::uint64_t bytes) const;
  // With everything in it.
  void remove();

 private:
  StagingFolder() = default;

  std::filesystem::path path_;
  Fd lock_;
};

}  // namespace sluice::tools::batch
