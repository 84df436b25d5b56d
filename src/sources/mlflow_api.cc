#include "sources/mlflow_api.h"

#include <algorithm>

#include "base/base64.h"
#include "base/names.h"
#include "base/text.h"
#include "sources/json_fields.h"
#include "sources/object_tree.h"
#include "sources/retry.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

using nlohmann::json;

constexpr std::string_view kTitle = "the MLflow server";
constexpr std::string_view kArtifacts = "/api/2.0/mlflow-artifacts/artifacts";

std::string encode(std::string_view text) { return clients::percent_encode(text, false); }

Result<json> ask(const clients::HttpClient& client, const clients::HttpRequest& request) {
  const std::atomic<bool> never = false;
  SLUICE_TRY(const auto answer,
             with_retries(never, [&] { return fetch_document(client, request, kTitle); }));
  auto parsed = json::parse(answer.body, nullptr, false);
  if (parsed.is_object()) return parsed;
  return unavailable("not_a_store", std::string(kTitle) +
                                        " answers with something that is not JSON; does "
                                        "MLFLOW_TRACKING_URI name an MLflow server?");
}

bool is_number(std::string_view text) { return parse_uint(text).has_value(); }

Failure missing(const MlflowModel& model, const std::string& what) {
  return not_found("unknown_version", std::string(kTitle) + " has no " + what + " of the model '" +
                                          printable(model.name) + "'");
}

}  // namespace

Result<MlflowModel> parse_mlflow(std::string_view text) {
  MlflowModel out;
  const auto at = text.find_first_of("/@");
  out.name = clients::percent_decode(text.substr(0, at));
  if (at != std::string_view::npos) {
    out.choice = text.substr(at + 1);
    const bool version = text[at] == '/' && is_number(out.choice);
    out.kind = text[at] == '@' ? MlflowModel::Kind::kAlias
               : version       ? MlflowModel::Kind::kVersion
                               : MlflowModel::Kind::kStage;
  }
  const bool chosen = at == std::string_view::npos ||
                      (!out.choice.empty() && out.choice.find_first_of("/@") == std::string::npos);
  if (out.name.empty() || !chosen) {
    return invalid("bad_url",
                   "write mlflow://model, mlflow://model/3, mlflow://model/Production or "
                   "mlflow://model@alias");
  }
  return out;
}

Result<MlflowApi> MlflowApi::open(const Environment& environment) {
  const auto uri = environment("MLFLOW_TRACKING_URI");
  if (!uri) {
    return invalid("bad_url",
                   "set MLFLOW_TRACKING_URI to the MLflow server's address, such as "
                   "http://127.0.0.1:5000");
  }
  SLUICE_TRY(const auto url, clients::parse_http_url(*uri));
  auto base = url.origin() + url.path;
  while (base.ends_with('/')) base.pop_back();
  clients::HttpHeaders headers;
  if (const auto token = environment("MLFLOW_TRACKING_TOKEN")) {
    headers.emplace_back("Authorization", "Bearer " + *token);
  } else if (const auto user = environment("MLFLOW_TRACKING_USERNAME")) {
    const auto password = environment("MLFLOW_TRACKING_PASSWORD").value_or("");
    headers.emplace_back("Authorization", "Basic " + encode_base64(*user + ":" + password));
  }
  return MlflowApi(std::move(base), std::move(headers));
}

clients::HttpRequest MlflowApi::request(const std::string& call, const std::string& query) const {
  clients::HttpRequest out;
  out.url = base_ + call + (query.empty() ? "" : "?" + query);
  out.headers = headers_;
  out.timeout = std::chrono::seconds(30);
  return out;
}

clients::HttpRequest MlflowApi::file(const std::string& path) const {
  auto out = request(std::string(kArtifacts) + "/" + clients::percent_encode(path, true), "");
  out.timeout = {};
  return out;
}

// The newest that is ready, in the stage where one is named.
Result<std::string> MlflowApi::newest(const MlflowModel& model) const {
  std::string out;
  std::string token;
  // A quote in a name would end the filter's text.
  if (model.name.find('\'') != std::string::npos) return missing(model, "version");
  for (int page = 0; page < 100; ++page) {
    auto query = "filter=" + encode("name='" + model.name + "'") + "&max_results=1000";
    if (!token.empty()) query += "&page_token=" + encode(token);
    SLUICE_TRY(const auto answer,
               ask(*client_, request("/api/2.0/mlflow/model-versions/search", query)));
    for (const auto& version : answer.value("model_versions", json::array())) {
      if (!version.is_object() || text_of(version, "name") != model.name) continue;
      const auto status = text_of(version, "status");
      const auto number = text_of(version, "version");
      const bool wanted = model.kind != MlflowModel::Kind::kStage ||
                          iequals(text_of(version, "current_stage"), model.choice);
      if (!wanted || (!status.empty() && status != "READY") || !is_number(number)) continue;
      if (out.empty() || natural_compare(out, number) < 0) out = number;
    }
    token = text_of(answer, "next_page_token");
    if (token.empty()) break;
  }
  if (!out.empty()) return out;
  return missing(model, model.kind == MlflowModel::Kind::kStage
                            ? "version in stage '" + printable(model.choice) + "'"
                            : "version that is ready");
}

Result<std::string> MlflowApi::number_of(const MlflowModel& model) const {
  if (model.kind == MlflowModel::Kind::kVersion) return model.choice;
  if (model.kind != MlflowModel::Kind::kAlias) return newest(model);
  const auto query = "name=" + encode(model.name) + "&alias=" + encode(model.choice);
  auto answer = ask(*client_, request("/api/2.0/mlflow/registered-models/alias", query));
  if (!answer && answer.error().code == Code::kNotFound) {
    return missing(model, "version with the alias '" + printable(model.choice) + "'");
  }
  if (!answer) return Failure(std::move(answer).error());
  const auto number = text_of(answer->value("model_version", json::object()), "version");
  if (is_number(number)) return number;
  return missing(model, "version with the alias '" + printable(model.choice) + "'");
}

Result<MlflowVersion> MlflowApi::choose(const MlflowModel& model) const {
  SLUICE_TRY(const auto number, number_of(model));
  const auto query = "name=" + encode(model.name) + "&version=" + encode(number);
  auto answer = ask(*client_, request("/api/2.0/mlflow/model-versions/get-download-uri", query));
  if (!answer && answer.error().code == Code::kNotFound) {
    return missing(model, "version " + number);
  }
  if (!answer) return Failure(std::move(answer).error());
  return MlflowVersion{number, text_of(*answer, "artifact_uri")};
}

Result<std::vector<MlflowFile>> MlflowApi::list(const std::string& path) const {
  SLUICE_TRY(const auto answer,
             ask(*client_, request(std::string(kArtifacts), "path=" + encode(path))));
  std::vector<MlflowFile> out;
  for (const auto& file : answer.value("files", json::array())) {
    if (!file.is_object()) continue;
    // Names are relative to the path that was asked for.
    auto name = text_of(file, "path");
    if (!is_safe_key(name)) continue;
    MlflowFile found;
    found.path = path + "/" + name;
    found.size = parse_uint(text_of(file, "file_size")).value_or(0);
    const auto directory = file.find("is_dir");
    found.is_directory = directory != file.end() && directory->is_boolean() && *directory;
    out.push_back(std::move(found));
  }
  return out;
}

}  // namespace sluice::sources
