// A directory on a disk as a FileTree, and opening what was found in one.
//
// Thread-safety: a tree is one thread's at a time; `open_version` any number.
#pragma once

#include <optional>

#include "base/file.h"
#include "core/source.h"
#include "sources/file_tree.h"

namespace sluice::sources {

class DiskTree final : public FileTree {
 public:
  // For one look: what is moved away or replaced meanwhile is seen as it was, not as gone.
  // Errors: kNotFound/`no_such_path` when there is no such directory; kUnavailable/`unreadable`
  // when it cannot be told.
  static Result<DiskTree> open(const std::filesystem::path& root);

  // What kept the look from seeing everything; it may pass.
  const std::optional<Error>& trouble() const { return trouble_; }

  Names list(const std::filesystem::path& directory) const override;
  std::string fingerprint(const std::filesystem::path& file) const override;
  Result<std::string> read(const std::filesystem::path& file, std::string_view what) const override;

 private:
  explicit DiskTree(Fd root) : root_(std::move(root)) {}

  Fd root_;
  mutable std::optional<Error> trouble_;
};

// The version's file, copied aside, and its directory, opened beneath `root`. Checks the manifest
// where there is one.
Result<ModelFile> open_version(const std::filesystem::path& root, const WantedVersion& version);

}  // namespace sluice::sources
