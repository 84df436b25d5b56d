#include "sources/local_dir.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/text.h"
#include "config/yaml.h"
#include "sources/directory_watcher.h"
#include "sources/manifest.h"
#include "sources/model_yaml.h"
#include "sources/triton_config.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfig = 1 << 20;

struct Found {
  std::vector<std::string> files;
  std::vector<std::string> directories;
};

bool looks_like_version(std::string_view name) {
  if (name.starts_with('v') || name.starts_with('V')) name.remove_prefix(1);
  return !name.empty() && name[0] >= '0' && name[0] <= '9';
}

// Of one file: changes when it is written or replaced, by whatever means.
std::string file_fingerprint(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "none";
  std::string out;
  for (const std::int64_t part :
       {static_cast<std::int64_t>(info.st_size), static_cast<std::int64_t>(info.st_ino),
        static_cast<std::int64_t>(info.st_mtim.tv_sec), info.st_mtim.tv_nsec,
        static_cast<std::int64_t>(info.st_ctim.tv_sec), info.st_ctim.tv_nsec}) {
    out += std::to_string(part) + '.';
  }
  return out;
}

class LocalDir final : public Source {
 public:
  LocalDir(fs::path root, std::optional<std::string> only_file, std::vector<std::string> extensions)
      : root_(std::move(root)),
        only_file_(std::move(only_file)),
        extensions_(std::move(extensions)) {}

  Result<std::vector<WantedModel>> list() override {
    trouble_.reset();
    if (only_file_) return list_file();
    auto listed = list_all();
    // What could not be looked into is not gone.
    if (listed && trouble_) return Failure(*trouble_);
    return listed;
  }

  Result<ModelFile> open(const WantedVersion& version) override {
    SLUICE_TRY(const auto top, open_directory(root_));
    const fs::path relative(version.location);
    SLUICE_TRY(const auto fd, open_beneath(top, relative));
    ModelFile out;
    out.name = relative.filename().string();
    SLUICE_TRY(out.contents, FileBytes::copy(fd, "the model file"));
    const auto parent = relative.parent_path();
    SLUICE_TRY(auto directory, open_beneath(top, parent.empty() ? fs::path(".") : parent));
    if (version.complete) SLUICE_CHECK(check_manifest(directory, out));
    out.directory = std::make_shared<const Fd>(std::move(directory));
    return out;
  }

  void watch(std::function<void()> changed) override {
    watcher_.reset();
    if (changed) watcher_.emplace(root_, std::move(changed));
  }

 private:
  Result<std::vector<WantedModel>> list_all() {
    std::error_code error;
    if (!fs::is_directory(root_, error)) {
      return not_found("no_such_path", "the models' directory does not exist any more");
    }
    std::vector<WantedModel> out;
    const auto top = list_directory(root_);
    if (is_model_directory(top)) {
      add_directory(root_, "", root_.filename().string(), out);
      return out;
    }
    add_flat_files(top, out);
    for (const auto& name : top.directories) {
      if (holds_models(root_ / name)) add_directory(root_ / name, name, name, out);
    }
    return out;
  }

  // Names in a directory, sorted, without those that begin with a dot.
  Found list_directory(const fs::path& path) const {
    Found out;
    std::error_code error;
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      const auto name = it->path().filename().string();
      if (name.starts_with('.')) continue;
      std::error_code ignored;
      if (it->is_directory(ignored)) {
        out.directories.push_back(name);
      } else {
        out.files.push_back(name);
      }
    }
    for (const int passing : {EMFILE, ENFILE, ENOMEM, EIO, ESTALE, ENOTCONN, ETIMEDOUT, EINTR}) {
      if (error.value() == passing) {
        trouble_ = Error{Code::kUnavailable,
                         "unreadable",
                         "a directory cannot be looked into: " + error.message(),
                         {}};
      }
    }
    std::ranges::sort(out.files);
    std::ranges::sort(out.directories);
    return out;
  }

  // A small file of the model's own, wherever links lead, but not out of the repository.
  static Result<std::string> read_beneath(const fs::path& top, const fs::path& path,
                                          std::string_view what) {
    SLUICE_TRY(const auto directory, open_directory(top));
    SLUICE_TRY(const auto fd, open_beneath(directory, path.lexically_relative(top)));
    return read_text(fd, kMaxConfig, what);
  }

  bool known_extension(std::string_view file) const {
    // model.yaml lies beside; metadata in JSON would not be called so.
    return is_pickle(file) || std::ranges::any_of(extensions_, [&](const auto& end) {
             return file.ends_with(end) && file.size() > end.size();
           });
  }

  static bool is_pickle(std::string_view file) {
    return file.ends_with(".pkl") || file.ends_with(".joblib");
  }

  std::string stem(std::string_view file) const {
    return std::string(file.substr(0, file.rfind('.')));
  }

  // Files that may be this version's model: `model.*` if there is one, else all with known endings.
  std::vector<std::string> candidates(const Found& found) const {
    std::vector<std::string> named;
    std::vector<std::string> others;
    // A directory with a model's name is reported when it is opened, not overlooked.
    std::vector<std::string> all = found.files;
    for (const auto& name : found.directories) {
      if (name.starts_with("model.")) all.push_back(name);
    }
    for (const auto& file : all) {
      if (!known_extension(file)) continue;
      (stem(file) == "model" ? named : others).push_back(file);
    }
    return named.empty() ? others : named;
  }

  bool has_version_directories(const fs::path& path, const Found& found) const {
    return std::ranges::any_of(found.directories, [&](const auto& name) {
      return !candidates(list_directory(path / name)).empty();
    });
  }

  // A file that is called a model's but has an ending that no engine knows: told, not overlooked.
  std::string strange_model(const std::string& version, const Found& found) const {
    if (!looks_like_version(version)) return {};
    for (const auto& file : found.files) {
      const auto name = stem(file);
      if (name == "model" || name == "saved_model") return file;
    }
    return {};
  }

  bool has_strange_models(const fs::path& path, const Found& found) const {
    return std::ranges::any_of(found.directories, [&](const auto& name) {
      return !strange_model(name, list_directory(path / name)).empty();
    });
  }

  // A directory with model.yaml or config.pbtxt, or whose sub-directories are versions.
  bool is_model_directory(const Found& top) const {
    const auto has = [&](std::string_view name) { return std::ranges::count(top.files, name) > 0; };
    if (has("model.yaml") || has("config.pbtxt")) return true;
    if (top.files.size() == 1 && known_extension(top.files[0]) && stem(top.files[0]) == "model" &&
        top.directories.empty()) {
      return true;
    }
    bool any = false;
    for (const auto& name : top.directories) {
      if (candidates(list_directory(root_ / name)).empty()) continue;
      if (!looks_like_version(name)) return false;
      any = true;
    }
    return any;
  }

  bool holds_models(const fs::path& path) const {
    const auto found = list_directory(path);
    return !candidates(found).empty() || has_version_directories(path, found) ||
           has_strange_models(path, found) || std::ranges::count(found.files, "model.yaml") > 0 ||
           std::ranges::count(found.files, "config.pbtxt") > 0;
  }

  void add_flat_files(const Found& top, std::vector<WantedModel>& out) const {
    std::map<std::string, std::vector<std::string>> by_name;
    for (const auto& file : top.files) {
      if (known_extension(file)) by_name[stem(file)].push_back(file);
    }
    for (const auto& [name, files] : by_name) {
      auto model = start_model(name);
      if (!model) continue;
      add_version(*model, "1", "", files);
      out.push_back(std::move(*model));
    }
  }

  void add_directory(const fs::path& path, const fs::path& relative, const std::string& name,
                     std::vector<WantedModel>& out) const {
    auto model = start_model(name);
    if (!model) return;
    const std::string preferred = read_config(root_, path, *model);
    const auto found = list_directory(path);
    for (const auto& version : found.directories) {
      const auto in_version = list_directory(path / version);
      auto files = candidates(in_version);
      // Triton's config.pbtxt may name the file.
      if (std::ranges::count(in_version.files, preferred) > 0) files = {preferred};
      if (!files.empty()) {
        add_version(*model, version, relative / version, files, &in_version);
      } else if (const auto strange = strange_model(version, in_version); !strange.empty()) {
        add_version(*model, version, relative / version, {strange});
        model->versions.back().problem = "'" + printable(strange) +
                                         "' has an ending that no engine knows; known are " +
                                         join_and(extensions_);
      }
    }
    const auto own = candidates(found);
    if (model->versions.empty() && !own.empty()) add_version(*model, "1", relative, own);
    out.push_back(std::move(*model));
  }

  static std::optional<WantedModel> start_model(const std::string& name) {
    auto parsed = ModelName::parse(name);
    if (!parsed) return std::nullopt;
    return WantedModel{std::move(*parsed), {}, {}, {}, {}, {}};
  }

  // `beside`: what else is in the version's own directory, and may be a part of it.
  void add_version(WantedModel& model, const std::string& version, const fs::path& directory,
                   const std::vector<std::string>& files, const Found* beside = nullptr) const {
    auto name = VersionName::parse(version);
    if (!name) return;
    WantedVersion wanted{std::move(*name), (directory / files[0]).string(), {}, false, {}};
    if (files.size() > 1) {
      wanted.problem = "it has more than one model file: " + join_and(files) + "; keep one of them";
    }
    if (is_pickle(files[0])) {
      wanted.problem =
          "scikit-learn's .pkl and .joblib files are not served by this version of "
          "Sluice; export the model to ONNX";
    }
    wanted.fingerprint = file_fingerprint(root_ / wanted.location);
    if (beside != nullptr) {
      for (const auto& file : beside->files) {
        if (file != files[0]) wanted.fingerprint += file_fingerprint(root_ / directory / file);
      }
      wanted.complete = std::ranges::count(beside->files, kManifest) > 0;
    }
    model.versions.push_back(std::move(wanted));
  }

  // Answers the file name that config.pbtxt prefers, or nothing.
  static std::string read_config(const fs::path& top, const fs::path& path, WantedModel& model) {
    std::error_code ignored;
    if (const auto file = path / "model.yaml"; fs::exists(file, ignored)) {
      auto text = read_beneath(top, file, "model.yaml");
      if (!text) {
        model.problem = text.error().message;
        return {};
      }
      model.fingerprint = *text;
      auto yaml = read_model_yaml(*text);
      for (const auto& problem : yaml.problems) {
        if (!model.problem.empty()) model.problem += "; ";
        model.problem += config::show_problem("model.yaml", problem);
      }
      model.config = std::move(yaml.config);
      model.warnings = std::move(yaml.warnings);
    } else if (const auto triton = path / "config.pbtxt"; fs::exists(triton, ignored)) {
      const auto text = read_beneath(top, triton, "config.pbtxt");
      if (!text) return {};
      model.fingerprint = *text;
      const auto config = read_triton_config(*text);
      if (config.max_batch_size.value_or(0) > 0) {
        model.config.batching.emplace().max_batch_size = *config.max_batch_size;
      }
      return config.default_model_filename;
    }
    return {};
  }

  // `…/fraud/v1/model.onnx` keeps both names; any other file is named by its stem.
  Result<std::vector<WantedModel>> list_file() const {
    std::string name = stem(*only_file_);
    std::string version = "1";
    const auto version_directory = root_.filename().string();
    const auto model_directory = root_.parent_path().filename().string();
    const bool in_version = name == "model" && looks_like_version(version_directory) &&
                            is_token(version_directory) && is_token(model_directory);
    if (in_version) {
      name = model_directory;
      version = version_directory;
    }
    auto model = start_model(name);
    if (!model) {
      return invalid("invalid_name",
                     "the file's name cannot be a model's name: use letters, "
                     "digits, '.', '_' or '-', beginning with a letter or digit");
    }
    if (in_version) read_config(root_.parent_path(), root_.parent_path(), *model);
    model->config.versions = {};
    add_version(*model, version, "", {*only_file_});
    std::vector<WantedModel> out;
    out.push_back(std::move(*model));
    return out;
  }

  const fs::path root_;
  const std::optional<std::string> only_file_;
  const std::vector<std::string> extensions_;
  std::optional<DirectoryWatcher> watcher_;
  mutable std::optional<Error> trouble_;  // of the look that is under way
};

}  // namespace

Result<std::unique_ptr<Source>> make_local_dir(const fs::path& path,
                                               std::vector<std::string> extensions) {
  std::error_code error;
  const auto absolute = fs::weakly_canonical(path, error);
  if (error || !fs::exists(absolute, error)) {
    return not_found("no_such_path",
                     "there is no file or directory '" + printable(path.string(), 256) + "'");
  }
  if (fs::is_directory(absolute, error)) {
    // An .onnx that is a directory is a mistake, not a repository.
    for (const auto& end : extensions) {
      if (absolute.filename().string().ends_with(end)) {
        return invalid("unsafe_path", "'" + printable(path.filename().string()) +
                                          "' is a directory; expected a model file");
      }
    }
    return std::make_unique<LocalDir>(absolute, std::nullopt, std::move(extensions));
  }
  const auto file = absolute.filename().string();
  const bool known =
      std::ranges::any_of(extensions, [&](const auto& end) { return file.ends_with(end); });
  if (!known) {
    return invalid(
        "unknown_format",
        "'" + printable(file) + "' is no model file; known endings are " + join_and(extensions));
  }
  return std::make_unique<LocalDir>(absolute.parent_path(), file, std::move(extensions));
}

}  // namespace sluice::sources
