// The registry of MLflow: which versions of a model there are, and where their files lie.
//
// Thread-safety: that of clients::HttpClient.
#pragma once

#include <string>

#include "sources/mlflow_server.h"

namespace sluice::sources {

// "model", "model/latest", "model/3", "model/Production", "model@champion".
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
  // Of what the registry says it was made from. Numbers begin anew where a model was deleted and
  // registered again.
  std::string identity;
};

// Where the files are that `models:/m-…` or `runs:/…/path` stands for; any other place as it is.
// Errors: kFailedPrecondition/`unreachable_artifacts` where the server knows nothing of it.
Result<std::string> resolve_place(const MlflowServer& tracking, const std::string& place,
                                  const std::atomic<bool>& stop);

class MlflowRegistry {
 public:
  explicit MlflowRegistry(MlflowServer server) : server_(std::move(server)) {}

  // Errors: kNotFound when there is no such model or version; kUnavailable, and
  // kUnavailable/`not_ready` for one that is still being registered; kPermissionDenied.
  Result<MlflowVersion> choose(const MlflowModel& model, const std::atomic<bool>& stop) const;
  // Where its files are: "s3://…", "mlflow-artifacts:/…". Errors: the same.
  Result<std::string> place_of(const MlflowModel& model, const MlflowVersion& version,
                               const std::atomic<bool>& stop) const;

 private:
  Result<nlohmann::json> newest(const MlflowModel& model, const std::atomic<bool>& stop) const;
  Result<nlohmann::json> described(const MlflowModel& model, const std::atomic<bool>& stop) const;

  const MlflowServer server_;
};

}  // namespace sluice::sources
