// Which models there are in a tree of files: one model's directory, a flat directory of files, or a
// repository in the layout of Sluice, Triton or TensorFlow Serving.
//
//   fraud.onnx                        model fraud, version 1
//   fraud/v1/model.onnx               model fraud, version v1
//   fraud/model.onnx                  model fraud, version 1
//   fraud/model.yaml                  options of fraud
//   fraud/config.pbtxt                Triton's
//   risk/v1/ensemble.yaml             model risk, version v1: a pipeline of the files beside it
//   risk/model.yaml with ensemble:    the same for all versions of risk
//   risk.ensemble.yaml                model risk, version 1: a pipeline of files beside it
//
// Names that begin with a dot are ignored. A version's file is `ensemble.yaml`, else `model.*`,
// else the only file with an ending that some engine knows. In a flat directory, files other than
// models that a pipeline of it names are that pipeline's.
//
// Thread-safety: immutable.
#pragma once

#include <string>
#include <vector>

#include "core/source.h"
#include "sources/file_tree.h"

namespace sluice::sources {

// A folder of this name is a version of the model around it: 3, v3, v3-int8.
bool looks_like_version(std::string_view name);
// `…/v1/model.onnx` or `…/v1/ensemble.yaml`: it is seen from the model's directory above, which has
// its name and its configuration.
bool lies_in_version(const std::filesystem::path& file);
// A model.yaml stands for the model's directory, in which it lies.
bool is_model_yaml(const std::filesystem::path& file);
// That, or Triton's config.pbtxt.
bool is_configuration(const std::filesystem::path& file);

class Layout {
 public:
  // `extensions` are the endings that engines know, with the dot.
  explicit Layout(std::vector<std::string> extensions) : extensions_(std::move(extensions)) {}

  // All models of a tree. `name` is the root's, for where it is one model's own directory.
  std::vector<WantedModel> find(const FileTree& tree, const std::string& name) const;

  // The model that a single file is. `…/fraud/v1/model.onnx` and `…/risk/v1/ensemble.yaml` keep
  // both names; any other file is named by its stem. `file` is the path in the tree, whose root is
  // called `name`. Errors: kInvalidArgument/`invalid_name`, `unknown_format`.
  Result<std::vector<WantedModel>> find_file(const FileTree& tree,
                                             const std::filesystem::path& file,
                                             const std::string& name) const;

  const std::vector<std::string>& extensions() const { return extensions_; }
  // Some engine knows files that end like this one.
  bool knows(std::string_view file) const;
  // Errors: kInvalidArgument/`unknown_format`.
  Result<void> check_file(std::string_view name) const;

 private:
  std::vector<std::string> candidates(const Names& found) const;
  bool is_model_directory(const FileTree& tree, const Names& top) const;
  bool holds_models(const FileTree& tree, const std::filesystem::path& path) const;
  std::string strange_model(const std::string& version, const Names& found) const;
  void add_flat_files(const FileTree& tree, const Names& top, std::vector<WantedModel>& out) const;
  void add_directory(const FileTree& tree, const std::filesystem::path& path,
                     const std::string& name, std::vector<WantedModel>& out) const;
  void add_model_version(const FileTree& tree, WantedModel& model, const std::string& version,
                         const std::filesystem::path& directory,
                         const std::string& preferred) const;
  void add_pipeline(const FileTree& tree, WantedModel& model,
                    const std::filesystem::path& path) const;

  const std::vector<std::string> extensions_;
};

}  // namespace sluice::sources
