// A server of MLflow's: its address, what lets one in, and how it is asked.
//
// Thread-safety: that of clients::HttpClient.
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "clients/http.h"
#include "sources/aws_credentials.h"

namespace sluice::sources {

inline constexpr std::string_view kMlflow = "the MLflow server";

struct MlflowServer {
  std::string base;  // "https://host/prefix", without a slash at its end
  clients::HttpHeaders headers;
  std::shared_ptr<const clients::HttpClient> client;

  clients::HttpRequest request(const std::string& call, const std::string& query) const;
  // The JSON object that it answers, in several tries where need be. Errors: kNotFound for what the
  // registry says it does not have; kInvalidArgument/`bad_parameter` for what it does not take;
  // kUnavailable/`not_a_store` where it is no MLflow server; else those of fetch_document.
  Result<nlohmann::json> ask(const std::string& call, const std::string& query,
                             const std::atomic<bool>& stop) const;
  // The same server's software at another address. The credentials go along to the same host only:
  // whoever registers a version says what its address is.
  MlflowServer at(const clients::Url& address) const;
};

struct MlflowServers {
  MlflowServer registry;
  MlflowServer tracking;  // of `mlflow-artifacts:` without a host
};
// As the environment says. Errors: kInvalidArgument/`bad_url` where it does not name a server.
Result<MlflowServers> find_mlflow(const Environment& environment);

}  // namespace sluice::sources
