// What MLflow's registry answers, from a server in this process.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/base64.h"
#include "clients/testing/scripted_http.h"
#include "sources/mlflow_api.h"
#include "sources/mlflow_artifacts.h"

namespace sluice::sources {
namespace {

using clients::testing::Scripted;
using clients::testing::ScriptedHttp;
using Variables = std::map<std::string, std::string>;

const std::atomic<bool> kNever = false;

Environment environment(Variables values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

Result<MlflowVersion> choose(const ScriptedHttp& server, const char* url, Variables more = {}) {
  more.emplace("MLFLOW_TRACKING_URI", "http://" + server.authority());
  const auto servers = find_mlflow(environment(more));
  if (!servers) return Failure(servers.error());
  return MlflowRegistry(servers->registry).choose(*parse_mlflow(url), kNever);
}

std::string version(const std::string& number, const std::string& run, const std::string& status) {
  return R"({"model_version":{"name":"m","version":")" + number + R"(","run_id":")" + run +
         R"(","creation_timestamp":1,"status":")" + status + R"("}})";
}

TEST(MlflowRegistry, ANumberThatIsGivenAgainIsAnotherVersion) {
  const ScriptedHttp server({{200, version("1", "a", "READY")},
                             {200, version("1", "a", "READY")},
                             {200, version("1", "b", "READY")}});
  std::vector<std::string> identities;
  for (int i = 0; i < 3; ++i) {
    const auto chosen = choose(server, "m/1");
    ASSERT_TRUE(chosen) << chosen.error().message;
    EXPECT_EQ(chosen->number, "1");
    identities.push_back(chosen->identity);
  }
  EXPECT_EQ(identities[0], identities[1]);
  EXPECT_NE(identities[0], identities[2]);
}

TEST(MlflowRegistry, WhatItRefusesIsSaidByName) {
  struct Case {
    const char* url;
    Scripted answer;
    Code code;
    const char* words;
  };
  const auto error = [](const char* word) {
    return R"({"error_code":")" + std::string(word) + R"(","message":"x"})";
  };
  const std::vector<Case> cases = {
      {"m@nope", {400, error("INVALID_PARAMETER_VALUE")}, Code::kNotFound, "alias 'nope'"},
      {"m@nope", {404, error("RESOURCE_DOES_NOT_EXIST")}, Code::kNotFound, "alias 'nope'"},
      {"m/7", {404, error("RESOURCE_DOES_NOT_EXIST")}, Code::kNotFound, "version 7"},
      {"m/7", {404, "<html>nothing"}, Code::kUnavailable, "MLFLOW_TRACKING_URI"},
      {"m/2", {200, version("2", "a", "PENDING_REGISTRATION")}, Code::kUnavailable, "PENDING"},
      {"m@c", {200, version("2", "a", "FAILED_REGISTRATION")}, Code::kFailedPrecondition, "FAILED"},
      {"m", {200, "{}"}, Code::kNotFound, "ready"},
  };
  for (const auto& each : cases) {
    const ScriptedHttp server({each.answer});
    const auto chosen = choose(server, each.url);
    ASSERT_FALSE(chosen) << each.url;
    EXPECT_EQ(chosen.error().code, each.code) << chosen.error().message;
    EXPECT_NE(chosen.error().message.find(each.words), std::string::npos) << chosen.error().message;
  }
}

TEST(MlflowRegistry, AQuoteInANameIsPutInTheOtherQuotes) {
  const ScriptedHttp server({{200, "{}"}});
  EXPECT_FALSE(choose(server, "it's"));
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_NE(server.requests()[0].find("filter=name%3D%22it%27s%22"), std::string::npos);
}

TEST(Mlflow, AUserIsWorthMoreThanAToken) {
  const Variables user = {{"MLFLOW_TRACKING_USERNAME", "ann"}, {"MLFLOW_TRACKING_PASSWORD", "pw"}};
  const auto basic = "Basic " + encode_base64(std::string_view("ann:pw"));
  auto both = user;
  both.emplace("MLFLOW_TRACKING_TOKEN", "t");
  for (const auto& [variables, expected] : std::vector<std::pair<Variables, std::string>>{
           {user, basic}, {both, basic}, {{{"MLFLOW_TRACKING_TOKEN", "t"}}, "Bearer t"}}) {
    const ScriptedHttp server({{200, "{}"}});
    EXPECT_FALSE(choose(server, "m", variables));
    ASSERT_EQ(server.requests().size(), 1U);
    EXPECT_NE(server.requests()[0].find("Authorization: " + expected), std::string::npos);
  }
}

TEST(Mlflow, SecretsEndInLineBreaksAndHaveNoneWithin) {
  const ScriptedHttp server({{200, "{}"}});
  EXPECT_FALSE(choose(server, "m", {{"MLFLOW_TRACKING_TOKEN", "t\n"}}));
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_NE(server.requests()[0].find("Authorization: Bearer t\r\n"), std::string::npos);
  const auto bad = choose(server, "m", {{"MLFLOW_TRACKING_TOKEN", "t\nX-Injected: 1"}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "MLFLOW_TRACKING_TOKEN has a line break in it");
}

// A registry behind a login.
TEST(Mlflow, ARedirectIsLikeAPage) {
  const ScriptedHttp server({{302, "", false, "Location: https://login.example/?s=hunter2\r\n"}});
  const auto chosen = choose(server, "m");
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, Code::kUnavailable);
  EXPECT_NE(chosen.error().message.find("a login page perhaps"), std::string::npos);
  EXPECT_EQ(chosen.error().message.find("example"), std::string::npos) << chosen.error().message;
  EXPECT_EQ(server.requests().size(), 1U) << "the token goes nowhere else";
}

TEST(Mlflow, APlaceOfALoggedModelOrARunIsAskedFor) {
  const ScriptedHttp server(
      {{200, R"({"model":{"info":{"artifact_uri":"mlflow-artifacts:/1/models/m-12/artifacts"}}})"},
       {200, R"({"run":{"info":{"artifact_uri":"s3://b/1/r"}}})"},
       {404, R"({"error_code":"RESOURCE_DOES_NOT_EXIST"})"}});
  const auto servers =
      find_mlflow(environment({{"MLFLOW_TRACKING_URI", "http://" + server.authority()}}));
  ASSERT_TRUE(servers);
  const auto resolve = [&](const char* place) {
    return resolve_place(servers->tracking, place, kNever);
  };
  EXPECT_EQ(resolve("models:/m-12").value_or(""), "mlflow-artifacts:/1/models/m-12/artifacts");
  EXPECT_EQ(resolve("runs:/r/model/x").value_or(""), "s3://b/1/r/model/x");
  EXPECT_EQ(resolve("models:/m-13").error().code, Code::kFailedPrecondition);
  EXPECT_EQ(resolve("s3://b/x").value_or(""), "s3://b/x");
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_TRUE(asked[0].starts_with("GET /api/2.0/mlflow/logged-models/m-12 ")) << asked[0];
  EXPECT_TRUE(asked[1].starts_with("GET /api/2.0/mlflow/runs/get?run_id=r ")) << asked[1];
}

TEST(Mlflow, WhatIsWrongWithAnAddressIsSaidByItsVariable) {
  for (const auto& [variable, value] : std::vector<std::pair<std::string, std::string>>{
           {"MLFLOW_TRACKING_URI", "postgresql://bob:hunter2@db/mlflow"},
           {"MLFLOW_TRACKING_URI", "http://bob:hunter2@host"},
           {"MLFLOW_REGISTRY_URI", "file:///home/hunter2"}}) {
    const auto servers = find_mlflow(environment({{variable, value}}));
    ASSERT_FALSE(servers) << value;
    const auto& message = servers.error().message;
    EXPECT_TRUE(message.starts_with(variable)) << message;
    EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
  }
}

// And what lets one in is for the host that the environment names.
TEST(MlflowArtifacts, AreFetchedWhereTheRegistrySays) {
  const ScriptedHttp tracking({});
  for (const auto& [before, with] :
       std::vector<std::pair<std::string, bool>>{{"mlflow-artifacts://127.0.0.1:", true},
                                                 {"http://127.0.0.1:", true},
                                                 {"mlflow-artifacts://localhost:", false}}) {
    const ScriptedHttp named({{200, R"({"files":[{"path":"MLmodel","file_size":3}]})"}});
    const auto port = named.authority().substr(named.authority().find(':') + 1);
    const auto place = before + port +
                       (before.starts_with("http") ? "/api/2.0/mlflow-artifacts/artifacts" : "") +
                       "/1/run/artifacts/model";
    const MlflowServer server{"http://" + tracking.authority(),
                              {{"Authorization", "Bearer t"}},
                              std::make_shared<const clients::HttpClient>()};
    const auto files = open_artifacts(place, server, environment({}));
    ASSERT_TRUE(files) << files.error().message;
    const auto listed = (*files)->list(kNever);
    ASSERT_TRUE(listed) << listed.error().message;
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(named.requests()[0].find("Bearer t") != std::string::npos, with) << place;
  }
}

TEST(MlflowArtifacts, OthersAreSaidWithoutTheirPath) {
  const MlflowServer server{"http://127.0.0.1:1", {}, nullptr};
  for (const auto& [place, words] : std::vector<std::pair<std::string, std::string>>{
           {"/home/bob/mlruns", "--serve-artifacts"},
           {"file:///home/bob/mlruns", "--serve-artifacts"},
           {"dbfs:/home/bob", "(dbfs:)"},
           {"https://bob.example/files", "(https:)"},
           {"mlflow-artifacts:/../bob", "(mlflow-artifacts:)"},
           {"", "does not say"}}) {
    const auto files = open_artifacts(place, server, environment({}));
    ASSERT_FALSE(files) << place;
    const auto& message = files.error().message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
    EXPECT_EQ(message.find("bob"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace sluice::sources
