// The registry of an MLflow tracking server: which versions of a model there are, and where their
// files lie.
//
// Thread-safety: that of clients::HttpClient.
#pragma once

#include <string>
#include <vector>

#include "clients/http.h"
#include "sources/aws_credentials.h"

namespace sluice::sources {

// "model", "model/3", "model/Production", "model@champion".
struct MlflowModel {
  enum class Kind { kNewest, kVersion, kStage, kAlias };
  std::string name;
  Kind kind = Kind::kNewest;
  std::string choice;
};
// Errors: kInvalidArgument/`bad_url`.
Result<MlflowModel> parse_mlflow(std::string_view text);

struct MlflowVersion {
  std::string number;
  std::string place;  // "s3://…", "mlflow-artifacts:/…": where its files are
};

struct MlflowFile {
  std::string path;  // below the server's root of artifacts
  std::uint64_t size = 0;
  bool is_directory = false;
};

class MlflowApi {
 public:
  // Errors: kInvalidArgument/`bad_url` where MLFLOW_TRACKING_URI does not name a server.
  static Result<MlflowApi> open(const Environment& environment);

  // Errors: kNotFound when there is no such model or version; kUnavailable; kPermissionDenied.
  Result<MlflowVersion> choose(const MlflowModel& model) const;
  // Files and directories below `path`, one level.
  Result<std::vector<MlflowFile>> list(const std::string& path) const;
  // A request for a file's bytes.
  clients::HttpRequest file(const std::string& path) const;
  const std::string& base() const { return base_; }
  const clients::HttpClient& client() const { return *client_; }

 private:
  MlflowApi(std::string base, clients::HttpHeaders headers)
      : base_(std::move(base)), headers_(std::move(headers)) {}
  clients::HttpRequest request(const std::string& call, const std::string& query) const;
  Result<std::string> newest(const MlflowModel& model) const;
  Result<std::string> number_of(const MlflowModel& model) const;

  std::string base_;  // without a slash at its end
  clients::HttpHeaders headers_;
  std::shared_ptr<const clients::HttpClient> client_ = std::make_shared<clients::HttpClient>();
};

}  // namespace sluice::sources
