// A copy of one model in a repository of its own, with other batching, for as long as it is
// measured.
//
// Files are hard links where they can be, since the server refuses symbolic links that lead
// outside.
//
// Thread-safety: one owner.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::tools {

// A new directory that is removed with everything in it.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> make();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept
      : path_(std::exchange(other.path_, std::filesystem::path())) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// What was asked for and what was found there: `path` is a model file, a model directory or a
// repository with the model `name`.
struct ModelPlace {
  std::filesystem::path path;
  std::string name;
  std::string version;
};

// The text of a model.yaml with this value of `batching:` instead of its own, if it has one.
std::string with_batching(std::string_view yaml, std::string_view batching);

// Makes the repository `to` with the model's version alone. Errors: kInternal where files cannot be
// written, kNotFound where the model's cannot be found.
Result<void> copy_model(const ModelPlace& model, std::string_view batching,
                        const std::filesystem::path& to);

}  // namespace sluice::tools
