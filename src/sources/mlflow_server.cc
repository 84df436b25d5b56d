#include "sources/mlflow_server.h"

#include "base/base64.h"
#include "sources/json_fields.h"
#include "sources/retry.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

using nlohmann::json;

constexpr const char* kTracking = "MLFLOW_TRACKING_URI";
constexpr const char* kRegistry = "MLFLOW_REGISTRY_URI";

// What the registry says is not there. Every other 404 is of something else than MLflow.
Result<void> check_answer(const clients::HttpAnswer& answer) {
  if (answer.status != 400 && answer.status != 404) return check_document(answer, kMlflow);
  const auto word = text_of(json::parse(answer.body, nullptr, false), "error_code");
  if (word == "RESOURCE_DOES_NOT_EXIST") return check_document(answer, kMlflow);
  if (answer.status == 400 && word == "INVALID_PARAMETER_VALUE") {
    return invalid("bad_parameter", std::string(kMlflow) + " does not take what it was asked");
  }
  if (answer.status == 404) {
    return unavailable("not_a_store", std::string(kMlflow) +
                                          " does not know MLflow's interface (404); check that "
                                          "MLFLOW_TRACKING_URI names an MLflow server, with the "
                                          "path that it lies below");
  }
  return check_document(answer, kMlflow);
}

Result<std::string> base_of(const char* variable, const std::string& text) {
  SLUICE_TRY(const auto url, url_of_variable(variable, text));
  auto base = url.origin() + url.path;
  while (base.ends_with('/')) base.pop_back();
  return base;
}

// As MLflow's own client: a user's name is worth more than a token.
Result<clients::HttpHeaders> credentials(const Environment& environment) {
  SLUICE_TRY(const auto user, secret_of(environment, "MLFLOW_TRACKING_USERNAME"));
  SLUICE_TRY(const auto password, secret_of(environment, "MLFLOW_TRACKING_PASSWORD"));
  SLUICE_TRY(const auto token, secret_of(environment, "MLFLOW_TRACKING_TOKEN"));
  const auto with = [](std::string text) {
    return clients::HttpHeaders{{"Authorization", std::move(text)}};
  };
  if (user && password) return with("Basic " + encode_base64(*user + ":" + *password));
  if (token) return with("Bearer " + *token);
  if (user) return with("Basic " + encode_base64(*user + ":"));
  return clients::HttpHeaders();
}

}  // namespace

clients::HttpRequest MlflowServer::request(const std::string& call,
                                           const std::string& query) const {
  clients::HttpRequest out;
  out.url = base + call + (query.empty() ? "" : "?" + query);
  out.headers = headers;
  return out;
}

Result<json> MlflowServer::ask(const std::string& call, const std::string& query,
                               const std::atomic<bool>& stop) const {
  auto question = request(call, query);
  question.timeout = std::chrono::seconds(30);
  question.stop = &stop;
  SLUICE_TRY(const auto answer, with_retries(stop, [&]() -> Result<clients::HttpAnswer> {
               auto got = client->send(question);
               if (!got) return Failure(unanswered(std::move(got).error(), kMlflow, question.url));
               SLUICE_CHECK(check_answer(*got));
               return got;
             }));
  auto parsed = json::parse(answer.body, nullptr, false);
  if (parsed.is_object()) return parsed;
  return unavailable("not_a_store", std::string(kMlflow) +
                                        " answers with something that is not JSON; does "
                                        "MLFLOW_TRACKING_URI name an MLflow server?");
}

MlflowServer MlflowServer::at(const clients::Url& address) const {
  MlflowServer out = *this;
  out.base = address.origin() + address.path;
  while (out.base.ends_with('/')) out.base.pop_back();
  const auto own = clients::parse_http_url(base);
  if (!own || own->host != address.host || own->scheme != address.scheme) out.headers.clear();
  return out;
}

Result<MlflowServers> find_mlflow(const Environment& environment) {
  const auto tracking = environment(kTracking);
  const auto registry = environment(kRegistry);
  if (!tracking && !registry) {
    return invalid("bad_url",
                   "set MLFLOW_TRACKING_URI to the MLflow server's address, such as "
                   "http://127.0.0.1:5000");
  }
  SLUICE_TRY(const auto asked,
             registry ? base_of(kRegistry, *registry) : base_of(kTracking, *tracking));
  // A tracking server that is a folder or a database has no files that could be had from it.
  const auto files = tracking ? base_of(kTracking, *tracking) : Result<std::string>(asked);
  SLUICE_TRY(auto headers, credentials(environment));
  const MlflowServer server{asked, std::move(headers),
                            std::make_shared<const clients::HttpClient>()};
  MlflowServers out{server, server};
  if (files) out.tracking.base = *files;
  return out;
}

}  // namespace sluice::sources
