#include "sources/layout.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/name_list.h"
#include "base/text.h"
#include "config/yaml.h"
#include "sources/model_yaml.h"
#include "sources/triton_config.h"
#include "sources/version_files.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModelYaml = "model.yaml";
constexpr std::string_view kTritonConfig = "config.pbtxt";

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::binary_search(names, name, {},
                                    [](const auto& each) { return std::string_view(each); });
}

std::string stem(std::string_view file) {
  const bool pipeline = is_pipeline(file) && file != kPipeline;
  return std::string(
      file.substr(0, pipeline ? file.size() - kPipelineEnding.size() : file.rfind('.')));
}

std::optional<WantedModel> start_model(const std::string& name) {
  auto parsed = ModelName::parse(name);
  if (!parsed) return std::nullopt;
  return WantedModel{std::move(*parsed), {}, {}, {}, {}, {}};
}

void read_yaml(const std::string& text, WantedModel& model) {
  auto yaml = read_model_yaml(text);
  for (const auto& problem : yaml.problems) {
    if (!model.problem.empty()) model.problem += "; ";
    model.problem += config::show_problem(kModelYaml, problem);
  }
  model.config = std::move(yaml.config);
}

// Answers the file name that config.pbtxt prefers, or nothing.
std::string read_config(const FileTree& tree, const fs::path& path, const Names& found,
                        WantedModel& model) {
  const bool ours = found.has(kModelYaml);  // a directory of that name is told, not overlooked
  if (!ours && !found.has_file(kTritonConfig)) return {};
  const auto name = ours ? kModelYaml : kTritonConfig;
  const auto text = tree.read(path / name, name);
  if (!text) {
    model.problem = text.error().message;
    return {};
  }
  model.fingerprint = *text;
  if (ours) {
    read_yaml(*text, model);
    return {};
  }
  const auto config = read_triton_config(*text);
  if (config.is_ensemble) {
    model.problem =
        "config.pbtxt describes an ensemble (ensemble_scheduling), which is not read; write its "
        "steps as `ensemble:` in model.yaml, with the members' files in the version's folder";
  }
  if (config.max_batch_size.value_or(0) > 0) {
    model.config.batching.emplace().max_batch_size = *config.max_batch_size;
  }
  return config.default_model_filename;
}

// Folders of a model that may be versions: those that steps of its own pipeline name are not.
std::vector<std::string> version_folders(const FileTree& tree, const fs::path& path,
                                         const Names& found, std::string_view pipeline) {
  auto out = found.directories;
  if (!found.has_file(pipeline)) return out;
  const auto parts = files_of_steps(tree, path / pipeline);
  std::erase_if(out, [&](const std::string& folder) {
    return std::ranges::any_of(parts,
                               [&](const auto& part) { return part.starts_with(folder + "/"); });
  });
  return out;
}

// Whether what lies beside a version's file is the version's, too.
enum class Beside { kOwn, kOthers };

// `found`: what `directory` holds.
WantedVersion make_version(const FileTree& tree, VersionName name, const fs::path& directory,
                           const Names& found, const std::vector<std::string>& files,
                           Beside beside) {
  WantedVersion out{
      std::move(name), (directory / files[0]).string(), directory.string(), {}, false, {}};
  if (files.size() > 1) {
    out.problem = "it has more than one model file: " + name_list(files) + "; keep one of them";
  }
  out.fingerprint = tree.fingerprint(out.location);
  if (beside == Beside::kOwn) {
    note_whole_directory(tree, found, out);
  } else {
    note_named_files(tree, found, out);
  }
  return out;
}

void add_version(const FileTree& tree, WantedModel& model, const std::string& version,
                 const fs::path& directory, const Names& found,
                 const std::vector<std::string>& files, Beside beside) {
  auto name = VersionName::parse(version);
  if (!name) return;
  model.versions.push_back(make_version(tree, std::move(*name), directory, found, files, beside));
  if (model.config.ensemble && files[0] == kPipeline && found.has_file(kPipeline)) {
    model.versions.back().problem =
        "there are two pipelines for it, `ensemble:` in model.yaml and ensemble.yaml; keep one";
  }
}

}  // namespace

bool looks_like_version(std::string_view name) {
  if (name.starts_with('v') || name.starts_with('V')) name.remove_prefix(1);
  return !name.empty() && name[0] >= '0' && name[0] <= '9';
}

bool lies_in_version(const fs::path& file) {
  const auto name = file.filename().string();
  return (name == kPipeline || stem(name) == "model") && name != kModelYaml &&
         looks_like_version(file.parent_path().filename().string());
}

bool is_model_yaml(const fs::path& file) { return file.filename() == kModelYaml; }
bool is_configuration(const fs::path& file) {
  return is_model_yaml(file) || file.filename() == kTritonConfig;
}

bool Names::has_file(std::string_view name) const { return holds(files, name); }

bool Names::has(std::string_view name) const { return has_file(name) || holds(directories, name); }

bool Layout::knows(std::string_view file) const {
  return is_pipeline(file) || std::ranges::any_of(extensions_, [&](const auto& end) {
           return file.ends_with(end) && file.size() > end.size();
         });
}

// Files that may be this version's model: `model.*` if there is one, else all with known endings.
std::vector<std::string> Layout::candidates(const Names& found) const {
  if (found.has_file(kPipeline)) return {std::string(kPipeline)};
  std::vector<std::string> named;
  std::vector<std::string> others;
  // A directory with a model's name is reported when it is opened, not overlooked.
  std::vector<std::string> all = found.files;
  for (const auto& name : found.directories) {
    if (name.starts_with("model.")) all.push_back(name);
  }
  for (const auto& file : all) {
    if (!knows(file)) continue;
    (stem(file) == "model" ? named : others).push_back(file);
  }
  return named.empty() ? others : named;
}

// A file that is called a model's but has an ending that no engine knows: told, not overlooked.
std::string Layout::strange_model(const std::string& version, const Names& found) const {
  if (!looks_like_version(version)) return {};
  for (const auto& file : found.files) {
    const auto name = stem(file);
    if (name == "model" || name == "saved_model") return file;
  }
  return {};
}

// A directory with model.yaml or config.pbtxt, or whose sub-directories are versions.
bool Layout::is_model_directory(const FileTree& tree, const Names& top) const {
  if (top.has_file(kModelYaml) || top.has_file(kTritonConfig) || top.has_file(kPipeline)) {
    return true;
  }
  if (top.files.size() == 1 && knows(top.files[0]) && stem(top.files[0]) == "model" &&
      top.directories.empty()) {
    return true;
  }
  bool any = false;
  for (const auto& name : top.directories) {
    if (candidates(tree.list(name)).empty()) continue;
    if (!looks_like_version(name)) return false;
    any = true;
  }
  return any;
}

bool Layout::holds_models(const FileTree& tree, const fs::path& path) const {
  const auto found = tree.list(path);
  if (!candidates(found).empty() || found.has(kModelYaml) || found.has_file(kTritonConfig)) {
    return true;
  }
  return std::ranges::any_of(found.directories, [&](const auto& name) {
    const auto inside = tree.list(path / name);
    return !candidates(inside).empty() || !strange_model(name, inside).empty();
  });
}

std::vector<WantedModel> Layout::find(const FileTree& tree, const std::string& name) const {
  std::vector<WantedModel> out;
  const auto top = tree.list("");
  if (is_model_directory(tree, top)) {
    add_directory(tree, "", name, out);
    return out;
  }
  add_flat_files(tree, top, out);
  for (const auto& each : top.directories) {
    if (holds_models(tree, each)) add_directory(tree, each, each, out);
  }
  return out;
}

void Layout::add_flat_files(const FileTree& tree, const Names& top,
                            std::vector<WantedModel>& out) const {
  // Whatever their endings: a scaler in JSON is no model. One that a pipeline uses is one still.
  std::set<std::string> parts;
  for (const auto& file : top.files) {
    if (!is_pipeline(file)) continue;
    for (auto& part : files_of_steps(tree, file, StepFiles::kNoModels)) {
      parts.insert(std::move(part));
    }
  }
  std::map<std::string, std::vector<std::string>> by_name;
  for (const auto& file : top.files) {
    const bool part = !is_pipeline(file) && parts.contains(file);
    if (knows(file) && !part) by_name[stem(file)].push_back(file);
  }
  for (const auto& [name, files] : by_name) {
    auto model = start_model(name);
    if (!model) continue;
    add_version(tree, *model, "1", "", top, files, Beside::kOthers);
    out.push_back(std::move(*model));
  }
}

void Layout::add_directory(const FileTree& tree, const fs::path& path, const std::string& name,
                           std::vector<WantedModel>& out) const {
  auto model = start_model(name);
  if (!model) return;
  const auto found = tree.list(path);
  const std::string preferred = read_config(tree, path, found, *model);
  if (model->config.ensemble) {
    add_pipeline(tree, *model, path);
  } else {
    for (const auto& version : version_folders(tree, path, found, kPipeline)) {
      add_model_version(tree, *model, version, path / version, preferred);
    }
    const auto own = candidates(found);
    if (model->versions.empty() && !own.empty()) {
      // A pipeline's files may have any names. Beside a single model anything may be written.
      const auto beside = is_pipeline(own[0]) ? Beside::kOwn : Beside::kOthers;
      add_version(tree, *model, "1", path, found, own, beside);
    }
  }
  out.push_back(std::move(*model));
}

void Layout::add_model_version(const FileTree& tree, WantedModel& model, const std::string& version,
                               const fs::path& directory, const std::string& preferred) const {
  const auto inside = tree.list(directory);
  auto files = candidates(inside);
  // Triton's config.pbtxt may name the file.
  if (inside.has_file(preferred)) files = {preferred};
  if (!files.empty()) {
    return add_version(tree, model, version, directory, inside, files, Beside::kOwn);
  }
  const auto strange = strange_model(version, inside);
  if (strange.empty()) return;
  add_version(tree, model, version, directory, inside, {strange}, Beside::kOthers);
  model.versions.back().problem = "'" + printable(strange) +
                                  "' has an ending that no engine knows; known are " +
                                  join_and(extensions_);
}

// One graph for all versions, which are the directories that have files for its steps; without any
// the files beside model.yaml are the steps' of version 1.
void Layout::add_pipeline(const FileTree& tree, WantedModel& model, const fs::path& path) const {
  const auto found = tree.list(path);
  const auto add = [&](const std::string& version, const fs::path& directory, const Names& files) {
    const auto before = model.versions.size();
    add_version(tree, model, version, directory, files, {std::string(kPipeline)}, Beside::kOwn);
    if (model.versions.size() == before) return;
    auto& wanted = model.versions.back();
    wanted.location = (path / kModelYaml).string();
    wanted.fingerprint += tree.fingerprint(wanted.location);
  };
  for (const auto& version : version_folders(tree, path, found, kModelYaml)) {
    const auto inside = tree.list(path / version);
    if (!inside.files.empty()) add(version, path / version, inside);
  }
  if (model.versions.empty()) add("1", path, found);
}

Result<void> Layout::check_file(std::string_view name) const {
  if (knows(name)) return {};
  return invalid(
      "unknown_format",
      "'" + printable(name) + "' is no model file; known endings are " + join_and(extensions_));
}

Result<std::vector<WantedModel>> Layout::find_file(const FileTree& tree, const fs::path& file,
                                                   const std::string& name) const {
  const auto own = file.filename().string();
  SLUICE_CHECK(check_file(own));
  std::string called = stem(own);
  std::string version = "1";
  const auto directory = file.parent_path();
  const auto above = directory.parent_path();
  const auto version_directory = directory.filename().string();
  const auto model_directory = above.empty() ? name : above.filename().string();
  const bool in_version =
      lies_in_version(file) && is_token(version_directory) && is_token(model_directory);
  if (in_version) {
    called = model_directory;
    version = version_directory;
  }
  auto model = start_model(called);
  if (!model) {
    return invalid("invalid_name",
                   "the file's name cannot be a model's name: use letters, "
                   "digits, '.', '_' or '-', beginning with a letter or digit");
  }
  if (in_version) read_config(tree, above, tree.list(above), *model);
  model->config.versions = {};
  const auto beside = in_version ? Beside::kOwn : Beside::kOthers;
  add_version(tree, *model, version, directory, tree.list(directory), {own}, beside);
  std::vector<WantedModel> out;
  out.push_back(std::move(*model));
  return out;
}

}  // namespace sluice::sources
