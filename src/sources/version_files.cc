#include "sources/version_files.h"

#include <algorithm>
#include <array>
#include <set>

#include "config/yaml.h"
#include "sources/layout.h"
#include "sources/manifest.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLevels = 4;
constexpr std::size_t kMostBelow = 1000;
constexpr std::size_t kMostParts = 1000;

void note(const FileTree& tree, const fs::path& file, WantedVersion& version) {
  if (file == version.location) return;  // of which it is anyway
  version.fingerprint += file.string() + '=' + tree.fingerprint(file);
}

// `left`: how many files and folders may still be looked at.
void note_below(const FileTree& tree, const fs::path& directory, int levels, std::size_t& left,
                WantedVersion& version) {
  const auto found = tree.list(directory);
  for (const auto& file : found.files) {
    if (left == 0) return;
    --left;
    note(tree, directory / file, version);
  }
  if (levels == 1) return;
  for (const auto& name : found.directories) {
    if (left == 0) return;
    --left;
    note_below(tree, directory / name, levels - 1, left, version);
  }
}

void note_called_like(const FileTree& tree, const Names& found, const fs::path& file,
                      WantedVersion& version) {
  const auto name = file.filename().string();
  for (auto it = std::ranges::lower_bound(found.files, name);
       it != found.files.end() && it->starts_with(name); ++it) {
    note(tree, file.parent_path() / *it, version);
  }
}

// What kinds of steps there are is the engine's to know: a file is what stands alone behind a kind
// (`standardise: scaler.json`), or is one of its options. What is no file's name is none on the
// disk either.
void add_file(const Node& node, std::set<std::string>& out) {
  if (node.kind != Node::Kind::kScalar || out.size() == kMostParts) return;
  auto file = fs::path(node.scalar).lexically_normal().generic_string();
  if (is_safe_key(file)) out.insert(std::move(file));
}

}  // namespace

bool is_pipeline(std::string_view file) {
  return file == kPipeline ||
         (file.ends_with(kPipelineEnding) && file.size() > kPipelineEnding.size());
}

std::vector<std::string> files_of_steps(const FileTree& tree, const fs::path& file,
                                        StepFiles which) {
  constexpr std::array<std::string_view, 4> kOfAllSteps = {"name", "inputs", "outputs", "engine"};
  if (!is_pipeline(file.filename().string()) && !is_model_yaml(file)) return {};
  const auto text = tree.read(file, "the pipeline");
  if (!text) return {};
  Problems ignored;
  const auto root = config::parse_yaml(*text, ignored);
  const Node* const pipeline = !root                 ? nullptr
                               : is_model_yaml(file) ? root->find("ensemble")
                                                     : &*root;
  const Node* const steps = pipeline == nullptr ? nullptr : pipeline->find("steps");
  if (steps == nullptr) return {};
  std::set<std::string> out;
  for (const auto& step : steps->items) {
    for (const auto& [key, place, value] : step.entries) {
      if (std::ranges::find(kOfAllSteps, key) != kOfAllSteps.end()) continue;
      if (which == StepFiles::kNoModels && key == "model") continue;
      add_file(value, out);
      for (const auto& option : value.entries) add_file(option.value, out);
    }
  }
  return {out.begin(), out.end()};
}

void note_whole_directory(const FileTree& tree, const Names& found, WantedVersion& version) {
  const fs::path directory(version.directory);
  for (const auto& file : found.files) note(tree, directory / file, version);
  std::size_t left = kMostBelow;
  for (const auto& name : found.directories) {
    note_below(tree, directory / name, kMostLevels, left, version);
  }
  version.complete = found.has_file(kManifest);
}

void note_named_files(const FileTree& tree, const Names& found, WantedVersion& version) {
  const fs::path directory(version.directory);
  note_called_like(tree, found, version.location, version);
  for (const auto& part : files_of_steps(tree, version.location)) {
    const auto file = directory / part;
    const bool beside = file.parent_path() == directory;
    note_called_like(tree, beside ? found : tree.list(file.parent_path()), file, version);
  }
}

}  // namespace sluice::sources
