// mlflow://model, mlflow://model/3, mlflow://model/Production, mlflow://model@champion
//
// One version at a time: the one that the registry's stage, alias or order says. Its files are
// listed as `<model>/<number>/…`, so that a change in the registry is a new version here.

#include <algorithm>
#include <mutex>
#include <set>

#include "base/text.h"
#include "sources/manifest.h"
#include "sources/mlflow_api.h"
#include "sources/mlflow_artifacts.h"
#include "sources/mlmodel.h"
#include "sources/remote_listing.h"
#include "sources/store_http.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

constexpr std::string_view kDescription = "MLmodel";
constexpr std::uint64_t kMaxDescription = 1 << 20;

// A file's place is the version's identity, a slash, and what its own store calls it: what is
// fetched is of the version that was listed, whatever has its number by now.
std::string_view identity_of(const Object& object) {
  return std::string_view(object.place).substr(0, object.place.find('/'));
}

class Mlflow final : public ObjectStore {
 public:
  Mlflow(const MlflowServers& servers, MlflowModel model, Environment environment, Layout layout)
      : registry_(servers.registry),
        tracking_(servers.tracking),
        model_(std::move(model)),
        folder_(is_token(model_.name) ? model_.name : "model"),
        environment_(std::move(environment)),
        layout_(std::move(layout)) {}

  std::string_view name() const override { return kMlflow; }
  bool lists_whole_versions() const override { return true; }

  Result<std::vector<Object>> list(const std::atomic<bool>& stop) override {
    SLUICE_TRY(const auto version, registry_.choose(model_, stop));
    // What a version consists of does not change: asked once.
    if (version.identity == identity_) return objects_;
    auto objects = list_version(version, stop);
    if (!objects) {
      return Failure(
          named(std::move(objects).error(),
                "version " + version.number + " of the model '" + printable(model_.name) + "'"));
    }
    identity_ = version.identity;
    objects_ = *std::move(objects);
    return objects_;
  }

  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>& stop) override {
    // After a start from the cache nothing has been listed yet.
    const auto files = files_of(object);
    if (!files) return unavailable("store_busy", "the registry has not been asked yet");
    return files->fetch(own(object), range, sink, stop);
  }

  Details details(const Object& object, const std::atomic<bool>& stop) override {
    const auto files = files_of(object);
    return files ? files->details(own(object), stop) : Details();
  }

  bool has_ranges() const override {
    const std::lock_guard lock(mutex_);
    return std::ranges::all_of(files_, [](const auto& each) { return each.second->has_ranges(); });
  }

 private:
  std::shared_ptr<ObjectStore> files_of(const Object& object) const {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(identity_of(object));
    return found == files_.end() ? nullptr : found->second;
  }
  // As its own store knows it.
  static Object own(Object object) {
    object.key = object.place.substr(std::min(identity_of(object).size() + 1, object.place.size()));
    return object;
  }

  Result<std::vector<Object>> list_version(const MlflowVersion& version,
                                           const std::atomic<bool>& stop);
  std::vector<Object> as_model(const MlflowVersion& version, const std::string& file,
                               std::vector<Object> listed) const;

  const MlflowRegistry registry_;
  const MlflowServer tracking_;
  const MlflowModel model_;
  const std::string folder_;  // what the model is called here
  const Environment environment_;
  const Layout layout_;
  std::string identity_;         // of the version that was listed last
  std::vector<Object> objects_;  // and its files
  mutable std::mutex mutex_;
  // By the version's identity; guarded by mutex_.
  std::map<std::string, std::shared_ptr<ObjectStore>, std::less<>> files_;
};

// The version's own manifest lists all of its files, also those that are left out here.
Result<void> heed_own_manifest(ObjectStore& files, const std::string& directory,
                               const std::string& file, std::vector<Object>& listed,
                               const std::atomic<bool>& stop) {
  const auto key = (directory.empty() ? "" : directory + "/") + std::string(kManifest);
  const auto manifest = std::ranges::find(listed, key, &Object::key);
  if (manifest == listed.end()) return {};
  const auto text = read_object(files, *manifest, kMaxManifest, stop);
  if (!text) return Failure(about_file(*manifest, text.error()));
  SLUICE_TRY(const auto lines, read_manifest(*text));
  return heed_manifest(lines, directory, file, true, listed);
}

Result<std::vector<Object>> Mlflow::list_version(const MlflowVersion& version,
                                                 const std::atomic<bool>& stop) {
  SLUICE_TRY(const auto named, registry_.place_of(model_, version, stop));
  SLUICE_TRY(const auto place, resolve_place(tracking_, named, stop));
  SLUICE_TRY(auto files, open_artifacts(place, tracking_, environment_));
  SLUICE_TRY(auto listed, files->list(stop));
  const auto description = std::ranges::find(listed, kDescription, &Object::key);
  if (description == listed.end()) {
    return fail(Code::kFailedPrecondition, "bad_model", "it has no file MLmodel");
  }
  const auto text = read_object(*files, *description, kMaxDescription, stop);
  if (!text) return Failure(about_file(*description, text.error()));
  SLUICE_TRY(const auto file, file_of_mlmodel(*text));
  if (std::ranges::find(listed, file, &Object::key) == listed.end()) {
    return fail(Code::kFailedPrecondition, "bad_model",
                "MLmodel names the file '" + printable(file) + "', which is not there");
  }
  const auto slash = file.rfind('/');
  for (const auto& directory :
       std::set<std::string>{"", slash == std::string::npos ? "" : file.substr(0, slash)}) {
    SLUICE_CHECK(heed_own_manifest(*files, directory, file, listed, stop));
  }
  const std::lock_guard lock(mutex_);
  // Of the one before, a download may be under way.
  std::erase_if(files_, [&](const auto& each) { return each.first != identity_; });
  files_[version.identity] = std::move(files);
  return as_model(version, file, std::move(listed));
}

// The files beside the one that MLmodel names as the model.
std::vector<Object> Mlflow::as_model(const MlflowVersion& version, const std::string& file,
                                     std::vector<Object> listed) const {
  const auto directory = file.substr(0, file.rfind('/') + 1);
  std::vector<Object> out;
  for (auto& object : listed) {
    if (!object.key.starts_with(directory)) continue;
    auto key = object.key.substr(directory.size());
    // Others that could be taken for the model: input_example.json and the like.
    const bool other = object.key != file && key.find('/') == std::string::npos &&
                       (layout_.knows(key) || key == kManifest);
    if (other) continue;
    object.place = version.identity + "/" + object.key;
    object.key = folder_ + "/" + version.number + "/" + key;
    if (object.etag.empty()) object.etag = "version " + version.number + " " + version.identity;
    out.push_back(std::move(object));
  }
  return out;
}

}  // namespace

Result<Located> open_mlflow(std::string_view url, const Layout& layout,
                            const Environment& environment) {
  constexpr std::string_view kScheme = "mlflow://";
  SLUICE_TRY(auto model, parse_mlflow(url.substr(kScheme.size())));
  SLUICE_TRY(const auto servers, find_mlflow(environment));
  auto identity = std::string(url) + " " + servers.registry.base;
  std::string nameless;
  if (!is_token(model.name)) {
    nameless =
        "the registered model's name '" + printable(model.name) +
        "' cannot be a model's name here; give it one of up to 128 letters, digits, '.', '_' "
        "or '-' with --model-name";
  }
  return Located{std::make_unique<Mlflow>(servers, std::move(model), environment, layout), "models",
                 "", std::move(identity), std::move(nameless)};
}

}  // namespace sluice::sources
