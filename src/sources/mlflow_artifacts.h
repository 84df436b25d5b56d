// The files of a registered version, where the registry says that they are: with an MLflow server
// that hands them out, or in a bucket.
//
// Thread-safety: a function without state; the store's is that of ObjectStore.
#pragma once

#include <memory>
#include <string>

#include "sources/mlflow_server.h"
#include "sources/object_store.h"

namespace sluice::sources {

// `place`: "mlflow-artifacts:/…", "https://host/api/2.0/mlflow-artifacts/artifacts/…", "s3://…",
// "gs://…". Errors: kFailedPrecondition/`unreachable_artifacts` for any other; those of the
// bucket's credentials.
Result<std::shared_ptr<ObjectStore>> open_artifacts(const std::string& place,
                                                    const MlflowServer& tracking,
                                                    const Environment& environment);

}  // namespace sluice::sources
