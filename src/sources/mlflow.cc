// mlflow://model, mlflow://model/3, mlflow://model/Production, mlflow://model@champion
//
// One version at a time: the one that the registry's stage, alias or order says. Its files are
// listed as `<model>/<number>/…`, so that a change in the registry is a new version here.

#include <algorithm>
#include <mutex>

#include "base/text.h"
#include "sources/mlflow_api.h"
#include "sources/mlmodel.h"
#include "sources/object_tree.h"
#include "sources/retry.h"
#include "sources/store_http.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

constexpr std::string_view kTitle = "the MLflow server";
constexpr std::string_view kProxied = "mlflow-artifacts:";
constexpr std::string_view kDescription = "MLmodel";
constexpr std::size_t kMaxFiles = 10'000;
constexpr std::uint64_t kMaxDescription = 1 << 20;

// Files that the tracking server hands out itself. They never change: a version is what it is.
class Proxied final : public ObjectStore {
 public:
  Proxied(MlflowApi api, std::string root) : api_(std::move(api)), root_(std::move(root)) {}

  std::string_view name() const override { return kTitle; }
  bool has_ranges() const override { return false; }

  Result<std::vector<Object>> list() override {
    std::vector<Object> out;
    std::vector<std::string> directories = {root_};
    while (!directories.empty()) {
      const auto directory = std::move(directories.back());
      directories.pop_back();
      SLUICE_TRY(const auto found, api_.list(directory));
      for (const auto& file : found) {
        if (out.size() + directories.size() > kMaxFiles) {
          return fail(Code::kResourceExhausted, "too_many",
                      "the version has more than " + std::to_string(kMaxFiles) + " files");
        }
        if (file.is_directory) {
          directories.push_back(file.path);
        } else {
          out.push_back({file.path.substr(root_.size() + 1), file.size, {}, {}, {}});
        }
      }
    }
    return out;
  }

  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>& stop) override {
    auto request = api_.file(root_ + "/" + object.key);
    request.stop = &stop;
    SLUICE_CHECK(fetch_range(api_.client(), std::move(request), range, kTitle, sink));
    return Fetched{false};
  }

 private:
  const MlflowApi api_;
  const std::string root_;
};

class Mlflow final : public ObjectStore {
 public:
  Mlflow(MlflowApi api, MlflowModel model, Environment environment, Layout layout)
      : api_(std::move(api)),
        model_(std::move(model)),
        environment_(std::move(environment)),
        layout_(std::move(layout)) {}

  std::string_view name() const override { return kTitle; }
  bool lists_whole_versions() const override { return true; }

  Result<std::vector<Object>> list() override {
    SLUICE_TRY(const auto version, api_.choose(model_));
    // What a version consists of does not change: asked once.
    if (version.number == number_) return objects_;
    SLUICE_TRY(auto files, open_files(version.place));
    SLUICE_TRY(auto listed, files->list());
    SLUICE_TRY(auto objects, as_model(*files, version.number, std::move(listed)));
    const std::lock_guard lock(mutex_);
    files_[version.number] = std::move(files);
    number_ = version.number;
    objects_ = std::move(objects);
    return objects_;
  }

  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>& stop) override {
    // After a start from the cache nothing has been listed yet.
    const auto files = files_of(object);
    if (!files) return unavailable("store_busy", "the registry has not been asked yet");
    auto own = object;
    own.key = object.place;
    return files->fetch(own, range, sink, stop);
  }

  Details details(const Object& object) override {
    const auto files = files_of(object);
    auto own = object;
    own.key = object.place;
    return files ? files->details(own) : Details();
  }

  bool has_ranges() const override {
    const std::lock_guard lock(mutex_);
    return std::ranges::all_of(files_, [](const auto& each) { return each.second->has_ranges(); });
  }

 private:
  std::shared_ptr<ObjectStore> files_of(const Object& object) const {
    const auto parts = split(object.key, '/');
    const std::lock_guard lock(mutex_);
    const auto found = parts.size() < 3 ? files_.end() : files_.find(std::string(parts[1]));
    return found == files_.end() ? nullptr : found->second;
  }

  Result<std::shared_ptr<ObjectStore>> open_files(const std::string& place) const;
  Result<std::vector<Object>> as_model(ObjectStore& files, const std::string& number,
                                       std::vector<Object> listed) const;

  const MlflowApi api_;
  const MlflowModel model_;
  const Environment environment_;
  const Layout layout_;
  std::string number_;           // of the version that was listed last
  std::vector<Object> objects_;  // and its files
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<ObjectStore>> files_;  // by version; guarded by mutex_
};

Result<std::shared_ptr<ObjectStore>> Mlflow::open_files(const std::string& place) const {
  if (place.starts_with("s3://") || place.starts_with("gs://")) {
    SLUICE_TRY(auto located, place[0] == 's' ? open_s3(place, layout_, environment_)
                                             : open_gcs(place, layout_, environment_));
    return std::shared_ptr<ObjectStore>(std::move(located.store));
  }
  if (place.starts_with(kProxied)) {
    // With or without the server's own name: "mlflow-artifacts:/x", "mlflow-artifacts://host/x".
    auto path = std::string_view(place).substr(kProxied.size());
    if (path.starts_with("//")) path = path.substr(std::min(path.find('/', 2), path.size()));
    while (path.starts_with('/')) path.remove_prefix(1);
    while (path.ends_with('/')) path.remove_suffix(1);
    if (is_safe_key(path)) return std::make_shared<Proxied>(api_, std::string(path));
  }
  return fail(Code::kFailedPrecondition, "unreachable_artifacts",
              "the registry says that the model's files are on its own disk or in a store that "
              "Sluice does not know; start MLflow with --serve-artifacts, or keep them in s3:// or "
              "gs://");
}

// The files beside MLmodel, with the one that it names as the model under a name that says so.
Result<std::vector<Object>> Mlflow::as_model(ObjectStore& files, const std::string& number,
                                             std::vector<Object> listed) const {
  const auto description = std::ranges::find(listed, kDescription, &Object::key);
  if (description == listed.end()) {
    return fail(Code::kFailedPrecondition, "bad_model", "the version has no file MLmodel");
  }
  SLUICE_TRY(const auto text, read_object(files, *description, kMaxDescription));
  SLUICE_TRY(const auto file, file_of_mlmodel(text));
  const auto name = file.substr(file.rfind('/') + 1);
  const auto directory = file.substr(0, file.size() - name.size());
  std::vector<Object> out;
  bool found = false;
  for (auto& object : listed) {
    if (!object.key.starts_with(directory)) continue;
    auto key = object.key.substr(directory.size());
    const bool is_model = object.key == file;
    found = found || is_model;
    // Others that could be taken for the model: input_example.json and the like.
    if (!is_model && key.find('/') == std::string::npos && layout_.knows(key)) continue;
    object.place = std::move(object.key);
    object.key = model_.name + "/" + number + "/" + key;
    if (object.etag.empty()) object.etag = "version " + number;
    out.push_back(std::move(object));
  }
  if (found) return out;
  return fail(Code::kFailedPrecondition, "bad_model",
              "MLmodel names the file '" + printable(file) + "', which is not there");
}

}  // namespace

Result<Located> open_mlflow(std::string_view url, const Layout& layout,
                            const Environment& environment) {
  constexpr std::string_view kScheme = "mlflow://";
  SLUICE_TRY(auto model, parse_mlflow(url.substr(kScheme.size())));
  SLUICE_CHECK(ModelName::parse(model.name));
  SLUICE_TRY(auto api, MlflowApi::open(environment));
  auto identity = std::string(url) + " " + api.base();
  return Located{std::make_unique<Mlflow>(std::move(api), std::move(model), environment, layout),
                 "models", "", std::move(identity)};
}

}  // namespace sluice::sources
