#include "base/private_directory.h"

#include <sys/stat.h>

#include <cerrno>

namespace sluice {

namespace fs = std::filesystem;

std::error_code make_private_directory(const fs::path& directory) {
  std::error_code error;
  if (directory.empty() || fs::is_directory(directory, error)) return {};
  error.clear();
  if (directory.has_parent_path()) fs::create_directories(directory.parent_path(), error);
  if (!error && ::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    error = std::error_code(errno, std::generic_category());
  }
  return error;
}

}  // namespace sluice
