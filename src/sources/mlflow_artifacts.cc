#include "sources/mlflow_artifacts.h"

#include <algorithm>

#include "base/text.h"
#include "sources/json_fields.h"
#include "sources/object_tree.h"
#include "sources/store_http.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

constexpr std::string_view kProxied = "mlflow-artifacts:";
constexpr std::string_view kInterface = "/api/2.0/mlflow-artifacts/artifacts";
constexpr std::size_t kMaxFiles = 10'000;

struct File {
  std::string path;  // below the server's root of artifacts
  std::uint64_t size = 0;
  bool is_directory = false;
};

// Files that an MLflow server hands out itself. They never change: a version is what it is.
class Proxied final : public ObjectStore {
 public:
  Proxied(MlflowServer server, std::string root)
      : server_(std::move(server)), root_(std::move(root)) {}

  std::string_view name() const override { return kMlflow; }
  bool has_ranges() const override { return false; }

  Result<std::vector<Object>> list(const std::atomic<bool>& stop) override {
    std::vector<Object> out;
    std::vector<std::string> directories = {root_};
    while (!directories.empty()) {
      const auto directory = std::move(directories.back());
      directories.pop_back();
      SLUICE_TRY(const auto found, list_one(directory, stop));
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
    auto request = server_.request(
        std::string(kInterface) + "/" + clients::percent_encode(root_ + "/" + object.key, true),
        "");
    request.stop = &stop;
    SLUICE_CHECK(fetch_range(*server_.client, std::move(request), object, range, kMlflow, sink));
    return Fetched{false};
  }

 private:
  // Files and directories, one level.
  Result<std::vector<File>> list_one(const std::string& path, const std::atomic<bool>& stop) const {
    SLUICE_TRY(
        const auto answer,
        server_.ask(std::string(kInterface), "path=" + clients::percent_encode(path, false), stop));
    std::vector<File> out;
    const auto* files = member_of(answer, "files");
    if (files == nullptr) return out;
    for (const auto& file : *files) {
      // Names are relative to the path that was asked for.
      const auto name = text_of(file, "path");
      if (!is_safe_key(name)) continue;
      const auto* directory = member_of(file, "is_dir");
      out.push_back({path + "/" + name, parse_uint(text_of(file, "file_size")).value_or(0),
                     directory != nullptr && directory->is_boolean() && directory->get<bool>()});
    }
    return out;
  }

  const MlflowServer server_;
  const std::string root_;
};

// Of a folder, whatever it is called.
Result<std::shared_ptr<ObjectStore>> open_folder(Result<BucketAccess> access) {
  if (!access) return Failure(std::move(access).error());
  if (!access->path.path.empty()) access->place.prefix = access->path.path + "/";
  return std::shared_ptr<ObjectStore>(make_bucket(
      std::move(access->place), std::move(access->authorize), std::move(access->on_region)));
}

// MLflow's own variable for another store than Amazon's: for S3 alone, not where roles are taken
// on.
Environment for_s3(const Environment& environment) {
  return [environment](const char* name) {
    auto value = environment(name);
    const bool asks = std::string_view(name) == "AWS_ENDPOINT_URL_S3";
    if (value || !asks || environment("AWS_ENDPOINT_URL")) return value;
    return environment("MLFLOW_S3_ENDPOINT_URL");
  };
}

// "mlflow-artifacts:/x" is the tracking server's; "mlflow-artifacts://host:port/x" that of the host
// which it names, spoken to as the tracking server is.
Result<MlflowServer> server_of(std::string_view host, const MlflowServer& tracking) {
  if (host.empty()) return tracking;
  SLUICE_TRY(const auto own, clients::parse_http_url(tracking.base));
  SLUICE_TRY(const auto url, url_of_variable("the place of the model's files",
                                             own.scheme + "://" + std::string(host) + own.path));
  return tracking.at(url);
}

std::string_view scheme_of(std::string_view place) {
  const auto scheme = place.substr(0, std::min(place.find(':'), place.size()));
  const bool good =
      scheme.size() < place.size() && std::ranges::all_of(scheme, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
      });
  return good ? scheme : std::string_view();
}

// The place itself is not shown: it may be a path, or have a password in it.
Failure unreachable(std::string_view place) {
  const auto scheme = scheme_of(place);
  std::string why;
  if (place.empty()) {
    why = "the registry does not say where the model's files are; register the version again";
  } else if (scheme.empty() || scheme == "file") {
    why =
        "the model's files are on the MLflow server's own disk; start it with --serve-artifacts "
        "and log the model again, or keep the files in s3:// or gs://";
  } else {
    why = "the model's files are in a place that cannot be read from here (" + printable(scheme) +
          ":); keep them in s3:// or gs://, or let an MLflow server hand them out "
          "(mlflow-artifacts:)";
  }
  return fail(Code::kFailedPrecondition, "unreachable_artifacts", std::move(why));
}

Result<std::shared_ptr<ObjectStore>> proxied(std::string_view place, MlflowServer server,
                                             std::string path) {
  while (path.starts_with('/')) path.erase(0, 1);
  while (path.ends_with('/')) path.pop_back();
  if (!is_safe_key(path)) return unreachable(place);
  return std::make_shared<Proxied>(std::move(server), std::move(path));
}

}  // namespace

Result<std::shared_ptr<ObjectStore>> open_artifacts(const std::string& place,
                                                    const MlflowServer& tracking,
                                                    const Environment& environment) {
  if (place.starts_with("s3://")) return open_folder(access_s3(place, for_s3(environment)));
  if (place.starts_with("gs://")) {
    return open_folder(access_gcs(place, environment, GoogleScope::kRead));
  }
  if (place.starts_with(kProxied)) {
    auto path = std::string_view(place).substr(kProxied.size());
    std::string_view host;
    if (path.starts_with("//")) {
      host = path.substr(2, std::min(path.find('/', 2), path.size()) - 2);
      path.remove_prefix(2 + host.size());
    }
    SLUICE_TRY(auto server, server_of(host, tracking));
    return proxied(place, std::move(server), std::string(path));
  }
  const auto interface = place.find(kInterface);
  if (place.starts_with("http") && interface != std::string::npos) {
    SLUICE_TRY(const auto url, url_of_variable("the place of the model's files",
                                               std::string_view(place).substr(0, interface)));
    return proxied(place, tracking.at(url),
                   clients::percent_decode(place.substr(interface + kInterface.size())));
  }
  return unreachable(place);
}

}  // namespace sluice::sources
