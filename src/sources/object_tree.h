// A listing of objects as a FileTree.
//
// Thread-safety: one thread at a time.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sources/file_tree.h"
#include "sources/object_store.h"

namespace sluice::sources {

// A key that can be a file below a directory: no empty part, ".", "..", or what no disk takes.
bool is_safe_key(std::string_view key);
// Takes out what cannot be files on a disk, or not together (stores have both "a" and "a/b").
// Answers the keys of it.
std::vector<std::string> take_unsafe(std::vector<Object>& objects);

class ObjectTree final : public FileTree {
 public:
  using ReadText = std::function<Result<std::string>(const Object&)>;

  // `objects` outlive the tree; those with keys that are not safe are left out.
  ObjectTree(const std::vector<Object>& objects, ReadText read);

  Names list(const std::filesystem::path& directory) const override;
  std::string fingerprint(const std::filesystem::path& file) const override;
  Result<std::string> read(const std::filesystem::path& file, std::string_view what) const override;

  const Object* find(std::string_view key) const;
  // What could not be read; it may pass.
  const std::optional<Error>& trouble() const { return trouble_; }

 private:
  std::map<std::string, const Object*, std::less<>> by_key_;
  std::map<std::string, Names, std::less<>> directories_;
  const ReadText read_;
  mutable std::optional<Error> trouble_;
};

}  // namespace sluice::sources
