#include "sources/mlflow_api.h"

#include "base/digest.h"
#include "base/names.h"
#include "base/text.h"
#include "sources/json_fields.h"

namespace sluice::sources {
namespace {

using nlohmann::json;

std::string encode(std::string_view text) { return clients::percent_encode(text, false); }

bool is_number(std::string_view text) { return parse_uint(text).has_value(); }

// A version's, of the model.
std::string title_of(const MlflowModel& model, const std::string& version) {
  return version + " of the model '" + printable(model.name) + "'";
}

Failure missing(const MlflowModel& model, const std::string& what) {
  return not_found("unknown_version", std::string(kMlflow) + " has no " + title_of(model, what));
}

std::string words_of(const MlflowModel& model) {
  switch (model.kind) {
    case MlflowModel::Kind::kVersion: return "version " + printable(model.choice);
    case MlflowModel::Kind::kAlias:
      return "version with the alias '" + printable(model.choice) + "'";
    case MlflowModel::Kind::kStage: return "version in stage '" + printable(model.choice) + "'";
    case MlflowModel::Kind::kNewest: break;
  }
  return "version that is ready";
}

// What the registry does not know, or does not take for a version or an alias.
bool is_absence(const Error& error) {
  return error.code == Code::kNotFound || error.reason == "bad_parameter";
}

bool is_ready(const json& version) {
  const auto status = text_of(version, "status");
  return status.empty() || status == "READY";
}

Result<void> check_ready(const MlflowModel& model, const std::string& number, const json& version) {
  if (is_ready(version)) return {};
  const auto status = text_of(version, "status");
  auto message = title_of(model, "version " + number) + " is not ready (" + printable(status) + ")";
  if (status == "FAILED_REGISTRATION") {
    return fail(Code::kFailedPrecondition, "not_ready", message + "; register it again");
  }
  return unavailable("not_ready", message + "; it is served when it is");
}

json member(const json& object, const char* name) {
  const auto* found = member_of(object, name);
  return found == nullptr ? json() : *found;
}

// The filter's text may be in either of the two quotes, and knows no way to write one in itself.
std::optional<std::string> name_filter(const std::string& name) {
  for (const char* quote : {"'", "\""}) {
    if (name.find(quote) == std::string::npos) return "name=" + (quote + name + quote);
  }
  return std::nullopt;
}

}  // namespace

Result<MlflowModel> parse_mlflow(std::string_view text) {
  MlflowModel out;
  const auto at = text.find_first_of("/@");
  out.name = clients::percent_decode(text.substr(0, at));
  if (at != std::string_view::npos) {
    out.choice = clients::percent_decode(text.substr(at + 1));
    // "latest" is MLflow's own word for the newest.
    out.kind = text[at] == '@'                 ? MlflowModel::Kind::kAlias
               : is_number(out.choice)         ? MlflowModel::Kind::kVersion
               : iequals(out.choice, "latest") ? MlflowModel::Kind::kNewest
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

// The newest that is ready, in the stage where one is named.
Result<json> MlflowRegistry::newest(const MlflowModel& model, const std::atomic<bool>& stop) const {
  const auto filter = name_filter(model.name);
  if (!filter) return missing(model, words_of(model));
  json out;
  std::string token;
  for (int page = 0; page < 100; ++page) {
    auto query = "filter=" + encode(*filter) + "&max_results=1000";
    if (!token.empty()) query += "&page_token=" + encode(token);
    SLUICE_TRY(const auto answer,
               server_.ask("/api/2.0/mlflow/model-versions/search", query, stop));
    for (const auto& version : member(answer, "model_versions")) {
      if (!version.is_object() || text_of(version, "name") != model.name) continue;
      const auto number = text_of(version, "version");
      const bool wanted = model.kind != MlflowModel::Kind::kStage ||
                          iequals(text_of(version, "current_stage"), model.choice);
      if (!wanted || !is_ready(version) || !is_number(number)) continue;
      if (out.is_null() || natural_compare(text_of(out, "version"), number) < 0) out = version;
    }
    token = text_of(answer, "next_page_token");
    if (token.empty()) break;
  }
  if (out.is_null()) return missing(model, words_of(model));
  return out;
}

// The version that the URL means, as the registry describes it.
Result<json> MlflowRegistry::described(const MlflowModel& model,
                                       const std::atomic<bool>& stop) const {
  const auto name = "name=" + encode(model.name);
  if (model.kind == MlflowModel::Kind::kAlias) {
    return server_.ask("/api/2.0/mlflow/registered-models/alias",
                       name + "&alias=" + encode(model.choice), stop);
  }
  return server_.ask("/api/2.0/mlflow/model-versions/get",
                     name + "&version=" + encode(model.choice), stop);
}

Result<MlflowVersion> MlflowRegistry::choose(const MlflowModel& model,
                                             const std::atomic<bool>& stop) const {
  json version;
  if (model.kind == MlflowModel::Kind::kNewest || model.kind == MlflowModel::Kind::kStage) {
    SLUICE_TRY(version, newest(model, stop));
  } else {
    const auto answer = described(model, stop);
    if (!answer && is_absence(answer.error())) return missing(model, words_of(model));
    if (!answer) return Failure(answer.error());
    version = member(*answer, "model_version");
  }
  const auto number = text_of(version, "version");
  if (!is_number(number)) return missing(model, words_of(model));
  SLUICE_CHECK(check_ready(model, number, version));
  std::string all = number;
  for (const char* field : {"source", "run_id", "creation_timestamp"}) {
    all += '\n' + text_of(version, field);
  }
  return MlflowVersion{number, sha256_hex(all).substr(0, 16)};
}

Result<std::string> MlflowRegistry::place_of(const MlflowModel& model, const MlflowVersion& version,
                                             const std::atomic<bool>& stop) const {
  const auto query = "name=" + encode(model.name) + "&version=" + encode(version.number);
  const auto answer = server_.ask("/api/2.0/mlflow/model-versions/get-download-uri", query, stop);
  if (!answer && is_absence(answer.error())) return missing(model, "version " + version.number);
  if (!answer) return Failure(answer.error());
  return text_of(*answer, "artifact_uri");
}

Result<std::string> resolve_place(const MlflowServer& tracking, const std::string& place,
                                  const std::atomic<bool>& stop) {
  constexpr std::string_view kModel = "models:/m-";
  constexpr std::string_view kRun = "runs:/";
  const bool run = place.starts_with(kRun);
  if (!run && !place.starts_with(kModel)) return place;
  const auto rest = place.substr(run ? kRun.size() : kModel.size() - 2);
  const auto id = rest.substr(0, rest.find('/'));
  const auto path = rest.substr(id.size());
  const auto answer = run ? tracking.ask("/api/2.0/mlflow/runs/get", "run_id=" + encode(id), stop)
                          : tracking.ask("/api/2.0/mlflow/logged-models/" + encode(id), "", stop);
  if (!answer && !is_absence(answer.error())) return Failure(answer.error());
  const auto found = answer ? member(member(*answer, run ? "run" : "model"), "info") : json();
  auto base = text_of(found, "artifact_uri");
  while (base.ends_with('/')) base.pop_back();
  if (base.empty()) {
    return fail(Code::kFailedPrecondition, "unreachable_artifacts",
                std::string(kMlflow) + " does not say where the files of the " +
                    (run ? "run" : "logged model") + " are that the version names");
  }
  return base + path;
}

}  // namespace sluice::sources
