// What tests of downloads put on the disk.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace sluice::sources::testing {

class TempDirectory {
 public:
  TempDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "sluice-cache-XXXXXX").string();
    path_ = ::mkdtemp(path.data());
  }
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// So many bytes that differ from their neighbours.
inline std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * i % 251);
  return out;
}

}  // namespace sluice::sources::testing
