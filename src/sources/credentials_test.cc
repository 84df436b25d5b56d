// Temporary credentials of machines whose metadata service comes and goes.

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/time_text.h"
#include "clients/testing/scripted_http.h"
#include "sources/aws_credentials.h"
#include "sources/google_credentials.h"

namespace sluice::sources {
namespace {

using clients::testing::Scripted;
using clients::testing::ScriptedHttp;

const Scripted kDown = {503, ""};
const Scripted kNone = {404, ""};

// Of a machine that has nothing but its metadata service.
Environment machine(const char* variable, std::string service) {
  std::map<std::string, std::string> values = {{"HOME", "/nonexistent"}};
  values[variable] = std::move(service);
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

Environment amazon(const ScriptedHttp& server) {
  return machine("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://" + server.authority());
}

Environment google(const ScriptedHttp& server) {
  return machine("GCE_METADATA_HOST", server.authority());
}

// To the three questions for Amazon's: a token, the role, the role's credentials.
std::vector<Scripted> credentials(const std::string& key, std::chrono::seconds left) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::chrono::nanoseconds until = std::chrono::floor<std::chrono::seconds>(now) + left;
  std::string expires;
  append_time(until.count(), expires);
  return {{200, "token"},
          {200, "role"},
          {200, R"({"AccessKeyId":")" + key + R"(","SecretAccessKey":"s","Token":"t",)" +
                    R"("Expiration":")" + expires + R"("})"}};
}

void add(std::vector<Scripted>& answers, const std::vector<Scripted>& more) {
  answers.insert(answers.end(), more.begin(), more.end());
}

// Until there is something else than an error.
template <class Chain>
auto get_soon(Chain& chain) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (true) {
    auto found = chain.get();
    if (found || std::chrono::steady_clock::now() >= until) return found;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

TEST(AwsCredentials, GoOnWhileTheyAreValid) {
  auto answers = credentials("id", std::chrono::minutes(4));
  add(answers, {kDown, kDown});
  const ScriptedHttp server(answers);
  AwsCredentialChain chain(amazon(server));
  for (int request = 0; request < 3; ++request) {
    const auto found = chain.get();
    ASSERT_TRUE(found && *found) << request;
    EXPECT_EQ((*found)->access_key, "id");
  }
  EXPECT_EQ(server.requests().size(), 4U) << "a service that is down is not asked by each request";
}

TEST(AwsCredentials, OnceExpiredNobodyIsAnonymous) {
  auto answers = credentials("old", std::chrono::minutes(-1));
  add(answers, {kDown});
  add(answers, credentials("new", std::chrono::hours(1)));
  const ScriptedHttp server(answers);
  AwsCredentialChain chain(amazon(server));
  ASSERT_TRUE(chain.get());
  const auto expired = chain.get();
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, Code::kUnavailable);
  EXPECT_EQ(expired.error().reason, "bad_credentials");
  const auto found = get_soon(chain);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->access_key, "new");
}

TEST(AwsCredentials, AMachineThatNeverHadAnyIsAnonymous) {
  const ScriptedHttp server(std::vector<Scripted>(2, kDown));
  AwsCredentialChain chain(amazon(server));
  for (int request = 0; request < 2; ++request) {
    const auto found = chain.get();
    ASSERT_TRUE(found);
    EXPECT_FALSE(*found);
  }
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(GoogleToken, GoesOnWhileItIsValid) {
  const ScriptedHttp server(
      {{200, R"({"access_token":"t","expires_in":200})"}, kDown, kDown, kDown, kDown});
  GoogleToken token(google(server));
  for (int request = 0; request < 3; ++request) {
    const auto found = token.get();
    ASSERT_TRUE(found && *found) << request;
    EXPECT_EQ(**found, "t");
  }
  EXPECT_EQ(server.requests().size(), 4U) << "a server that is down is not asked by each request";
}

TEST(GoogleToken, OnceExpiredNobodyIsAnonymous) {
  const ScriptedHttp server({{200, R"({"access_token":"old","expires_in":0})"},
                             kDown,
                             kDown,
                             kDown,
                             {200, R"({"access_token":"new","expires_in":3600})"}});
  GoogleToken token(google(server));
  ASSERT_TRUE(token.get());
  const auto expired = token.get();
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, Code::kUnavailable);
  EXPECT_EQ(expired.error().reason, "bad_credentials");
  const auto found = get_soon(token);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ(**found, "new");
}

TEST(GoogleToken, AMachineThatNeverHadOneIsAnonymous) {
  const ScriptedHttp server(std::vector<Scripted>(2, kNone));
  GoogleToken token(google(server));
  for (int request = 0; request < 2; ++request) {
    const auto found = token.get();
    ASSERT_TRUE(found);
    EXPECT_FALSE(*found);
  }
  EXPECT_EQ(server.requests().size(), 1U);
}

// As Google's does while a machine starts.
TEST(GoogleToken, AServerThatIsBusyIsNotTakenForNone) {
  const ScriptedHttp soon({kDown, {200, R"({"access_token":"t","expires_in":3600})"}});
  GoogleToken token(google(soon));
  const auto found = token.get();
  ASSERT_TRUE(found && *found);
  EXPECT_EQ(**found, "t");
  const ScriptedHttp never(std::vector<Scripted>(3, kDown));
  GoogleToken other(google(never));
  const auto failed = other.get();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kUnavailable);
}

TEST(GoogleToken, CredentialsThatAreRefusedOrNoneAreSaid) {
  const ScriptedHttp server({{400, R"({"error":"invalid_grant"})"}});
  const auto path = testing::TempDir() + "sluice-google.json";
  const auto get_with = [&](const std::string& text) {
    std::ofstream(path) << text;
    return GoogleToken(machine("GOOGLE_APPLICATION_CREDENTIALS", path)).get().error();
  };
  const auto refused =
      get_with(R"({"type":"authorized_user","token_uri":"http://)" + server.authority() + R"("})");
  EXPECT_EQ(refused.code, Code::kPermissionDenied);
  EXPECT_NE(refused.message.find("refuses the credentials"), std::string::npos) << refused.message;
  for (const char* text : {"", "AKIA"}) {
    EXPECT_NE(get_with(text).message.find("not JSON"), std::string::npos) << text;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace sluice::sources
