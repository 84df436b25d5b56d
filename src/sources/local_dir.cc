#include "sources/local_dir.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "sources/directory_watcher.h"
#include "sources/disk_tree.h"
#include "sources/manifest.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

class LocalDir final : public Source {
 public:
  // `file`: only this one, a path below `root`.
  LocalDir(fs::path root, std::optional<fs::path> file, Layout layout)
      : root_(std::move(root)), file_(std::move(file)), layout_(std::move(layout)) {}

  Result<std::vector<WantedModel>> list() override {
    SLUICE_TRY(const auto tree, DiskTree::open(root_));
    const auto name = root_.filename().string();
    auto listed = file_ ? layout_.find_file(tree, *file_, name)
                        : Result<std::vector<WantedModel>>(layout_.find(tree, name));
    // What could not be looked into is not gone.
    if (const auto& trouble = tree.trouble(); listed && trouble) return Failure(*trouble);
    return listed;
  }

  Result<ModelFile> open(const WantedVersion& version) override {
    auto opened = open_version(root_, version);
    // It was there a moment ago; if it stays away, the next look sees that.
    if (!opened && opened.error().code == Code::kNotFound) {
      return unavailable(opened.error().reason, opened.error().message);
    }
    return opened;
  }

  void watch(const std::function<void()>& changed) override {
    watcher_.reset();
    if (changed) watcher_.emplace(root_, changed);
  }

 private:
  const fs::path root_;
  const std::optional<fs::path> file_;
  const Layout layout_;
  std::optional<DirectoryWatcher> watcher_;
};

}  // namespace

Result<std::unique_ptr<Source>> make_local_dir(const fs::path& path, Layout layout) {
  std::error_code error;
  auto absolute = fs::weakly_canonical(path, error);
  if (error || !fs::exists(absolute, error)) {
    return not_found("no_such_path",
                     "there is no file or directory '" + printable(path.string(), 256) + "'");
  }
  if (is_model_yaml(absolute) && !fs::is_directory(absolute, error)) {
    absolute = absolute.parent_path();
  }
  if (fs::is_directory(absolute, error)) {
    // An .onnx that is a directory is a mistake, not a repository.
    for (const auto& end : layout.extensions()) {
      if (absolute.filename().string().ends_with(end)) {
        return invalid("unsafe_path", "'" + printable(path.filename().string()) +
                                          "' is a directory; expected a model file");
      }
    }
    return std::make_unique<LocalDir>(absolute, std::nullopt, std::move(layout));
  }
  SLUICE_CHECK(layout.check_file(absolute.filename().string()));
  auto root = absolute.parent_path();
  auto file = absolute.filename();
  if (lies_in_version(absolute)) {
    file = root.filename() / file;
    root = root.parent_path();
  }
  return std::make_unique<LocalDir>(root, file, std::move(layout));
}

}  // namespace sluice::sources
