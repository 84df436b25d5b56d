// Names of rotated files, and which of them are too many. `predictions.jsonl` becomes
// `predictions-20261126-170000-1.jsonl`: when it was rotated in UTC, and a number that tells those
// of one second apart.
//
// Thread-safety: immutable.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace sluice::observers {

class LogRotation {
 public:
  static constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

  // Beyond so many files, and so many bytes of all of them, the oldest are removed; the newest one
  // always stays.
  LogRotation(const std::filesystem::path& file, std::uint64_t most_files, std::uint64_t most_bytes)
      : file_(file), most_files_(most_files), most_bytes_(most_bytes) {}

  // In the file's directory; there is no such file yet.
  std::filesystem::path name_at(std::time_t now) const;
  // Oldest first.
  std::vector<std::filesystem::path> rotated() const;
  // False where one could not be removed.
  bool remove_oldest() const;

 private:
  const std::filesystem::path file_;
  const std::uint64_t most_files_;
  const std::uint64_t most_bytes_;
};

}  // namespace sluice::observers
