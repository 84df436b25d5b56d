// Credentials of the clouds' own kinds: temporary ones of machines whose metadata service comes and
// goes, web identities, profiles.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
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

// Of one that has no metadata service.
Environment environment(std::map<std::string, std::string> values) {
  values.insert({{"HOME", "/nonexistent"}, {"AWS_EC2_METADATA_DISABLED", "True"}});
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

// "none" where there are credentials.
std::string refusal(const std::map<std::string, std::string>& values) {
  AwsCredentialChain chain(environment(values));
  const auto found = chain.get();
  if (!found) return found.error().message;
  return *found ? "none" : "anonymous";
}

class TempFile {
 public:
  explicit TempFile(const std::string& text) {
    std::string path = (std::filesystem::temp_directory_path() / "sluice-aws-XXXXXX").string();
    const Fd made(::mkstemp(path.data()));
    path_ = path;
    write(text);
  }
  ~TempFile() { std::filesystem::remove(path_); }
  void write(const std::string& text) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << text;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

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
  EXPECT_EQ(server.requests().size(), 3U) << "what is valid for so short a time is not asked for "
                                             "again by each request";
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
  const ScriptedHttp server(std::vector<Scripted>(2, {404, ""}));
  AwsCredentialChain chain(amazon(server));
  for (int request = 0; request < 2; ++request) {
    const auto found = chain.get();
    ASSERT_TRUE(found);
    EXPECT_FALSE(*found);
  }
  EXPECT_EQ(server.requests().size(), 1U);
}

// It is while the machine starts. Whoever then asked without a signature would be refused.
TEST(AwsCredentials, AMachineThatIsBusyMakesNobodyAnonymous) {
  // Whichever of its three answers is the one that fails.
  const auto good = credentials("id", std::chrono::hours(1));
  for (std::size_t fails = 0; fails < good.size(); ++fails) {
    std::vector<Scripted> answers(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(fails));
    answers.push_back(kDown);
    add(answers, good);
    const ScriptedHttp server(answers);
    AwsCredentialChain chain(amazon(server));
    const auto busy = chain.get();
    ASSERT_FALSE(busy) << fails;
    EXPECT_EQ(busy.error().code, Code::kUnavailable);
    const auto found = get_soon(chain);
    ASSERT_TRUE(found && *found) << fails;
    EXPECT_EQ((*found)->access_key, "id");
  }
}

struct Pass {
  std::optional<std::chrono::nanoseconds> valid;
  std::optional<std::chrono::nanoseconds> left() const { return valid; }
};

TEST(HeldCredentials, AServiceThatIsDownIsNotAskedByEachRequest) {
  HeldCredentials<Pass> held("expired");
  using Found = HeldCredentials<Pass>::Found;
  int looks = 0;
  const auto up = [&]() -> Found { return ++looks, Pass{std::nullopt}; };
  const auto down = [&]() -> Found { return ++looks, unavailable("down", "it is down"); };
  ASSERT_TRUE(held.get(up));
  ASSERT_TRUE(held.get(up));
  EXPECT_EQ(looks, 1);
  held.renew();
  for (int request = 0; request < 3; ++request) EXPECT_TRUE(held.get(down)) << "it is still valid";
  EXPECT_EQ(looks, 2);
  held.renew();
  ASSERT_TRUE(held.get([&]() -> Found { return ++looks, std::nullopt; }));
  EXPECT_EQ(looks, 3) << "a file that is being replaced makes nobody anonymous";
}

TEST(AwsWebIdentity, ARoleByAToken) {
  const TempFile token("jwt one\n");
  const ScriptedHttp server(
      {{200,
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>id</AccessKeyId>"
        "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
        "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"}});
  AwsCredentialChain chain(environment({{"AWS_ROLE_ARN", "arn:aws:iam::1:role/x"},
                                        {"AWS_WEB_IDENTITY_TOKEN_FILE", token.path()},
                                        {"AWS_ENDPOINT_URL_STS", "http://" + server.authority()}}));
  for (int request = 0; request < 2; ++request) {
    const auto found = chain.get();
    ASSERT_TRUE(found && *found) << found.error().message;
    EXPECT_EQ((*found)->access_key + (*found)->secret_key + (*found)->session_token, "idst");
    EXPECT_GT(*(*found)->left(), std::chrono::hours(24 * 365));
  }
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_TRUE(asked[0].starts_with("POST / HTTP")) << asked[0];
  EXPECT_TRUE(asked[0].ends_with(
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2F"
      "x&RoleSessionName=sluice&WebIdentityToken=jwt%20one"))
      << asked[0];
  EXPECT_EQ(asked[0].find("Authorization"), std::string::npos);
}

// Never another identity than the one that is named: not the node's, and not none.
TEST(AwsWebIdentity, WhatIsNamedAndCannotBeHadIsAnError) {
  const TempFile token("jwt");
  const ScriptedHttp server({{400,
                              "<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>"
                              "of others</Message></Error></ErrorResponse>"},
                             {503, ""}});
  std::map<std::string, std::string> values = {
      {"AWS_WEB_IDENTITY_TOKEN_FILE", token.path()},
      {"AWS_ENDPOINT_URL_STS", "http://" + server.authority()}};
  EXPECT_NE(refusal(values).find("AWS_ROLE_ARN"), std::string::npos) << "it is missing";
  values["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/x";
  const auto expired = refusal(values);
  EXPECT_NE(expired.find("has expired"), std::string::npos) << expired;
  EXPECT_EQ(expired.find("of others"), std::string::npos) << expired;
  EXPECT_NE(refusal(values).find("503"), std::string::npos) << "it may pass";
  values["AWS_WEB_IDENTITY_TOKEN_FILE"] = token.path() + ".none";
  const auto gone = refusal(values);
  EXPECT_NE(gone.find("AWS_WEB_IDENTITY_TOKEN_FILE"), std::string::npos) << gone;
  EXPECT_EQ(gone.find(token.path()), std::string::npos) << "no path is told";
}

TEST(AwsProfile, WhatItSaysAndCannotBeHadIsAnError) {
  const std::string keys = "aws_access_key_id=id\naws_secret_access_key=s\n";
  struct Row {
    std::string text;
    std::string told;  // empty: it has keys
  };
  for (const Row& row :
       {Row{"[default]\n" + keys, ""},
        Row{"\xef\xbb\xbf[default]\nAWS_ACCESS_KEY_ID=id\nAws_Secret_Access_Key=s\n", ""},
        Row{"[default]\n" + keys + "sso_session=a\n", ""},
        Row{"[default]\naws_access_key_id=id\n", "belong together"},
        Row{"[default]\naws_secret_access_key=s\n", "belong together"},
        Row{"[default]\n" + keys + "role_arn=arn\n", "has role_arn"},
        Row{"[default]\nsso_session=a\n", "has sso_session"},
        Row{"[default]\ncredential_process=/bin/x\n", "has credential_process"}}) {
    const TempFile file(row.text);
    const auto told = refusal({{"AWS_SHARED_CREDENTIALS_FILE", file.path()}});
    const std::string expected = row.told.empty() ? "none" : row.told;
    EXPECT_NE(told.find(expected), std::string::npos) << row.text << told;
  }
  const auto missing = refusal({{"AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/keys"}});
  EXPECT_NE(missing.find("AWS_SHARED_CREDENTIALS_FILE"), std::string::npos) << missing;
  EXPECT_EQ(missing.find("nonexistent"), std::string::npos) << missing;
  const TempFile other("[other]\n" + keys);
  EXPECT_NE(
      refusal({{"AWS_SHARED_CREDENTIALS_FILE", other.path()}, {"AWS_DEFAULT_PROFILE", "mine"}})
          .find("'mine'"),
      std::string::npos);
}

TEST(AwsProfile, FilesAreReadAnewWhenTheyAreWritten) {
  const TempFile file("[default]\naws_access_key_id=old\naws_secret_access_key=s\n");
  AwsCredentialChain chain(environment({{"AWS_SHARED_CREDENTIALS_FILE", file.path()}}));
  ASSERT_EQ((*chain.get())->access_key, "old");
  file.write("[default]\naws_access_key_id=newer\naws_secret_access_key=s\n");
  EXPECT_EQ((*chain.get())->access_key, "newer");
  file.write("");
  const auto found = chain.get();
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->access_key, "newer") << "who had some is not anonymous afterwards";
}

TEST(AwsCredentials, WhereNothingIsFoundItIsSaidWhereItWasLooked) {
  const auto text = AwsCredentialChain(environment({})).nothing_found();
  for (const char* word :
       {"not signed", "AWS_ACCESS_KEY_ID", "'default'", "EC2_METADATA_DISABLED"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << ": " << text;
  }
}

// It would get the token that a container's are asked for with.
TEST(AwsCredentials, NoProxyIsAskedForThem) {
  const ScriptedHttp proxy({{200, "{}"}});
  ::setenv("http_proxy", ("http://" + proxy.authority()).c_str(), 1);
  const auto told = refusal({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"}});
  ::unsetenv("http_proxy");
  EXPECT_NE(told.find("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), std::string::npos) << told;
  EXPECT_TRUE(proxy.requests().empty());
}

TEST(AwsCredentials, HostsOfRegions) {
  EXPECT_EQ(amazon_host("sts", "eu-west-1"), "sts.eu-west-1.amazonaws.com");
  EXPECT_EQ(amazon_host("s3", "cn-north-1"), "s3.cn-north-1.amazonaws.com.cn");
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
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(GoogleToken, OnceExpiredNobodyIsAnonymous) {
  const ScriptedHttp server({{200, R"({"access_token":"old","expires_in":0})"},
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
  const ScriptedHttp server({kDown, {200, R"({"access_token":"t","expires_in":3600})"}});
  GoogleToken token(google(server));
  const auto busy = token.get();
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, Code::kUnavailable);
  const auto found = get_soon(token);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ(**found, "t");
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
