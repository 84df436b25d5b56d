#include "frontends/endpoints.h"

#include <algorithm>
#include <array>

namespace sluice::frontends {
namespace {

constexpr auto kAll = Surface::kEverywhere;
constexpr auto kControl = Surface::kModelControl;
constexpr auto kNone = BodyKind::kNone;
constexpr auto kJson = BodyKind::kJson;
constexpr auto kTensors = BodyKind::kTensors;
constexpr auto kSettings = BodyKind::kSettings;

constexpr std::string_view kSimple = "simple";
constexpr std::string_view kOip = "Open Inference Protocol";
constexpr std::string_view kTfs = "TensorFlow Serving, KServe v1";
constexpr std::string_view kStandard = "gRPC standard";
constexpr std::string_view kManagementApi = "management";

constexpr std::array kEndpoints = {
    Endpoint{kSimple, "POST", "/predict", kAll, kJson, "predict with the default model"},
    Endpoint{kSimple, "POST", "/models/{}/predict", kAll, kJson, "predict"},
    Endpoint{kSimple, "POST", "/models/{}/versions/{}/predict", kAll, kJson,
             "predict with one version"},
    Endpoint{kSimple, "POST", "/feedback", kAll, kJson, "tell what a prediction was worth"},
    Endpoint{kSimple, "GET", "/health", kAll, kNone, "models are loaded"},
    Endpoint{kSimple, "GET", "/ready", kAll, kNone, "traffic is welcome"},
    Endpoint{kSimple, "gRPC", "/PredictionService/Predict", kAll, kNone, "predict"},

    Endpoint{kOip, "GET", "/v2", kAll, kNone, "server metadata, with the extensions"},
    Endpoint{kOip, "GET", "/v2/health/live", kAll, kNone, "the server runs"},
    Endpoint{kOip, "GET", "/v2/health/ready", kAll, kNone, "the server takes requests"},
    Endpoint{kOip, "GET", "/v2/models/{}", kAll, kNone, "model metadata"},
    Endpoint{kOip, "GET", "/v2/models/{}/versions/{}", kAll, kNone, "model metadata"},
    Endpoint{kOip, "GET", "/v2/models/{}/ready", kAll, kNone, "the model takes requests"},
    Endpoint{kOip, "GET", "/v2/models/{}/versions/{}/ready", kAll, kNone,
             "the version takes requests"},
    Endpoint{kOip, "POST", "/v2/models/{}/infer", kAll, kTensors, "predict"},
    Endpoint{kOip, "POST", "/v2/models/{}/versions/{}/infer", kAll, kTensors,
             "predict with one version"},
    Endpoint{kOip, "GET", "/v2/models/{}/config", kAll, kNone, "model configuration"},
    Endpoint{kOip, "GET", "/v2/models/{}/versions/{}/config", kAll, kNone, "model configuration"},
    Endpoint{kOip, "GET", "/v2/models/stats", kAll, kNone, "statistics of all models"},
    Endpoint{kOip, "GET", "/v2/models/{}/stats", kAll, kNone, "statistics"},
    Endpoint{kOip, "GET", "/v2/models/{}/versions/{}/stats", kAll, kNone, "statistics"},
    Endpoint{kOip, "POST", "/v2/repository/index", kAll, kSettings, "models and their states"},
    Endpoint{kOip, "POST", "/v2/repository/models/{}/load", kControl, kSettings, "load or reload"},
    Endpoint{kOip, "POST", "/v2/repository/models/{}/unload", kControl, kSettings, "unload"},
    Endpoint{kOip, "GET", "/v2/systemsharedmemory/status", kAll, kNone, "registered regions"},
    Endpoint{kOip, "GET", "/v2/systemsharedmemory/region/{}/status", kAll, kNone,
             "a registered region"},
    Endpoint{kOip, "POST", "/v2/systemsharedmemory/region/{}/register", kAll, kSettings,
             "register a region"},
    Endpoint{kOip, "POST", "/v2/systemsharedmemory/region/{}/unregister", kAll, kSettings,
             "forget a region"},
    Endpoint{kOip, "POST", "/v2/systemsharedmemory/unregister", kAll, kSettings,
             "forget all regions"},
    Endpoint{kOip, "GET", "/v2/trace/setting", kControl, kNone, "trace settings"},
    Endpoint{kOip, "POST", "/v2/trace/setting", kControl, kSettings, "change trace settings"},
    Endpoint{kOip, "GET", "/v2/models/{}/trace/setting", kControl, kNone,
             "a model's trace settings"},
    Endpoint{kOip, "POST", "/v2/models/{}/trace/setting", kControl, kSettings,
             "change a model's trace settings"},
    Endpoint{kOip, "GET", "/v2/logging", kControl, kNone, "log settings"},
    Endpoint{kOip, "POST", "/v2/logging", kControl, kSettings, "change log settings"},

#define SLUICE_OIP_CALL(name, surface, what) \
  Endpoint { kOip, "gRPC", "/inference.GRPCInferenceService/" name, surface, kNone, what }
    SLUICE_OIP_CALL("ServerLive", kAll, "the server runs"),
    SLUICE_OIP_CALL("ServerReady", kAll, "the server takes requests"),
    SLUICE_OIP_CALL("ServerMetadata", kAll, "server metadata, with the extensions"),
    SLUICE_OIP_CALL("ModelReady", kAll, "the model takes requests"),
    SLUICE_OIP_CALL("ModelMetadata", kAll, "model metadata"),
    SLUICE_OIP_CALL("ModelInfer", kAll, "predict"),
    SLUICE_OIP_CALL("ModelStreamInfer", kAll, "predict, many requests on one stream"),
    SLUICE_OIP_CALL("ModelConfig", kAll, "model configuration"),
    SLUICE_OIP_CALL("ModelStatistics", kAll, "statistics"),
    SLUICE_OIP_CALL("RepositoryIndex", kAll, "models and their states"),
    SLUICE_OIP_CALL("RepositoryModelLoad", kControl, "load or reload"),
    SLUICE_OIP_CALL("RepositoryModelUnload", kControl, "unload"),
    SLUICE_OIP_CALL("SystemSharedMemoryStatus", kAll, "registered regions"),
    SLUICE_OIP_CALL("SystemSharedMemoryRegister", kAll, "register a region"),
    SLUICE_OIP_CALL("SystemSharedMemoryUnregister", kAll, "forget one region or all"),
    SLUICE_OIP_CALL("CudaSharedMemoryStatus", kAll, "no regions: there are no GPUs here"),
    SLUICE_OIP_CALL("CudaSharedMemoryRegister", kAll, "refused: there are no GPUs here"),
    SLUICE_OIP_CALL("CudaSharedMemoryUnregister", kAll, "nothing to forget"),
    SLUICE_OIP_CALL("TraceSetting", kControl, "read or change trace settings"),
    SLUICE_OIP_CALL("LogSettings", kControl, "read or change log settings"),
#undef SLUICE_OIP_CALL

    Endpoint{kTfs, "GET", "/v1/models", kAll, kNone, "names of the models"},
    Endpoint{kTfs, "GET", "/v1/models/{}", kAll, kNone, "readiness and state of each version"},
    Endpoint{kTfs, "GET", "/v1/models/{}/versions/{}", kAll, kNone, "state of a version"},
    Endpoint{kTfs, "GET", "/v1/models/{}/metadata", kAll, kNone, "inputs and outputs"},
    Endpoint{kTfs, "GET", "/v1/models/{}/versions/{}/metadata", kAll, kNone, "inputs and outputs"},
    Endpoint{kTfs, "POST", "/v1/models/{}:predict", kAll, kJson, "predict, by rows or columns"},
    Endpoint{kTfs, "POST", "/v1/models/{}/versions/{}:predict", kAll, kJson,
             "predict with one version"},

    Endpoint{kStandard, "gRPC", "/grpc.health.v1.Health/Check", kAll, kNone, "health"},
    Endpoint{kStandard, "gRPC", "/grpc.health.v1.Health/Watch", kAll, kNone, "health, as a stream"},
    Endpoint{kStandard, "gRPC", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", kAll,
             kNone, "which services and messages there are"},
    Endpoint{kStandard, "gRPC", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
             kAll, kNone, "the same, for older clients"},

    Endpoint{kManagementApi, "GET", "/api/models", Surface::kManagement, kNone,
             "models, versions and why one failed"},
    Endpoint{kManagementApi, "GET", "/api/cost", Surface::kManagement, kNone,
             "what batching and the cache have saved"},
    Endpoint{kManagementApi, "GET", "/api/models/{}/release", Surface::kManagement, kNone,
             "the release: state, arms, evidence, history"},
    Endpoint{kManagementApi, "PUT", "/api/models/{}/release", Surface::kManagement, kJson,
             "start a release"},
    Endpoint{kManagementApi, "DELETE", "/api/models/{}/release", Surface::kManagement, kNone,
             "end it: the newest version takes the traffic"},
    Endpoint{kManagementApi, "POST", "/api/models/{}/release/promote", Surface::kManagement,
             kSettings, "give the canary, or a version, everything"},
    Endpoint{kManagementApi, "POST", "/api/models/{}/release/rollback", Surface::kManagement,
             kSettings, "take the canary back"},
    Endpoint{kManagementApi, "POST", "/api/models/{}/release/pause", Surface::kManagement,
             kSettings, "stay at this step"},
    Endpoint{kManagementApi, "POST", "/api/models/{}/release/resume", Surface::kManagement,
             kSettings, "go on"},
    Endpoint{kManagementApi, "GET", "/api/models/{}/bandit", Surface::kManagement, kNone,
             "what the arms have brought"},
    Endpoint{kManagementApi, "GET", "/api/models/{}/metrics", Surface::kManagement, kNone,
             "counts, errors, latencies, distribution of predictions"},
    Endpoint{kManagementApi, "GET", "/api/models/{}/recent", Surface::kManagement, kNone,
             "the last requests and what was answered"},
    Endpoint{kManagementApi, "GET", "/api/models/{}/shadow", Surface::kManagement, kNone,
             "how far shadow versions are from what users got"},
    Endpoint{kManagementApi, "GET", "/api/models/{}/drift", Surface::kManagement, kNone,
             "whether inputs and predictions still look as in training"},
    Endpoint{kManagementApi, "GET", "/api/features", Surface::kManagement, kNone,
             "feature stores, their caches and whether they answer"},
    Endpoint{kManagementApi, "GET", "/api/features/{}/{}", Surface::kManagement, kNone,
             "what a store has of an entity"},
    Endpoint{kManagementApi, "GET", "/metrics", Surface::kMetrics, kNone,
             "counts, as Prometheus reads them"},
};

std::string_view who(Surface surface) {
  switch (surface) {
    case Surface::kEverywhere: return "everybody";
    case Surface::kManagement: return "the management listener";
    case Surface::kMetrics: return "everybody, unless `metrics.public: false`";
    case Surface::kModelControl: return "with `--model-control explicit`";
  }
  return "";
}

}  // namespace

std::span<const Endpoint> endpoints() { return kEndpoints; }

const Endpoint* find_endpoint(std::string_view method, std::string_view path) {
  const auto found = std::ranges::find_if(kEndpoints, [&](const Endpoint& endpoint) {
    return endpoint.method == method && endpoint.path == path;
  });
  return found == kEndpoints.end() ? nullptr : &*found;
}

std::string endpoints_markdown() {
  std::string out;
  std::string_view api;
  for (const Endpoint& endpoint : kEndpoints) {
    if (endpoint.api != api) {
      api = endpoint.api;
      out += "\n## " + std::string(api) + "\n\n| call | what | who may |\n|---|---|---|\n";
    }
    out += "| `" + std::string(endpoint.method) + " " + std::string(endpoint.path) + "` | " +
           std::string(endpoint.what) + " | " + std::string(who(endpoint.surface)) + " |\n";
  }
  return out;
}

}  // namespace sluice::frontends
