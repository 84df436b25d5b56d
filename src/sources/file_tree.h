// The files that models lie in, wherever they are: on a disk, or in an object store's listing.
//
// Paths are relative to the tree's root, without "." or ".."; the root itself is the empty path.
//
// Thread-safety: one thread at a time.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::sources {

// Names in one directory, sorted, without those that begin with a dot.
struct Names {
  std::vector<std::string> files;
  std::vector<std::string> directories;

  bool has_file(std::string_view name) const;
  bool has(std::string_view name) const;  // as either
};

class FileTree {
 public:
  virtual ~FileTree() = default;
  // Empty where there is no such directory.
  virtual Names list(const std::filesystem::path& directory) const = 0;
  // Of one file: changes when it is written or replaced, by whatever means.
  virtual std::string fingerprint(const std::filesystem::path& file) const = 0;
  // A small text file (configuration). `what` names it in messages.
  virtual Result<std::string> read(const std::filesystem::path& file,
                                   std::string_view what) const = 0;
};

}  // namespace sluice::sources
