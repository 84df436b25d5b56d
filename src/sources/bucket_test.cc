// A bucket that is elsewhere than was thought, refuses, or is asked for one file.

#include "sources/bucket.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clients/testing/scripted_http.h"
#include "sources/bucket_errors.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

const std::atomic<bool> kNever{false};

using clients::testing::Scripted;
using clients::testing::ScriptedHttp;

const Scripted kElsewhere = {301, "", false, "x-amz-bucket-region: eu-west-1\r\n"};
constexpr const char* kListing =
    "<ListBucketResult><Contents><Key>m/v1/model.onnx</Key><Size>3</Size></Contents>"
    "</ListBucketResult>";

BucketAddress at(const ScriptedHttp& server) {
  return {"http://" + server.authority(), server.authority(), "/models"};
}

Result<void> anybody(const ToSign&, clients::HttpHeaders&) { return {}; }

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(Bucket, IsAskedWhereItIs) {
  const ScriptedHttp first({kElsewhere, kElsewhere});
  const ScriptedHttp second({{200, kListing}, {200, "abc"}, {200, kListing}});
  std::vector<std::string> regions;
  const auto bucket = make_bucket({"the bucket", at(first), ""}, anybody,
                                  [&](const std::string& region) -> std::optional<BucketAddress> {
                                    regions.push_back(region);
                                    return at(second);
                                  });
  const std::atomic<bool> never = false;
  const auto listed = bucket->list(never);
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 1U);
  std::string content;
  const auto keep = [&](std::span<const std::byte> bytes) {
    content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  };
  const auto fetched = bucket->fetch(listed->front(), {0, 3}, keep, never);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(content, "abc");
  EXPECT_EQ(regions, std::vector<std::string>{"eu-west-1"});
  EXPECT_EQ(first.requests().size(), 1U);
  const auto asked = second.requests();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_TRUE(asked[0].starts_with("GET /models?")) << asked[0];
  EXPECT_TRUE(asked[1].starts_with("GET /models/m/v1/model.onnx ")) << asked[1];
}

TEST(Bucket, IsAskedOnceWhereNobodyKnowsBetter) {
  const auto refusal = Scripted{403, "", false, kElsewhere.headers};
  const ScriptedHttp server({refusal, refusal, refusal});
  int told = 0;
  const auto bucket = make_bucket({"the bucket", at(server), ""}, anybody,
                                  [&](const std::string&) -> std::optional<BucketAddress> {
                                    ++told;
                                    return std::nullopt;
                                  });
  const std::atomic<bool> never = false;
  const auto listed = bucket->list(never);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Code::kPermissionDenied);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(server.requests().size(), 1U);
  EXPECT_FALSE(make_bucket({"the bucket", at(server), ""}, anybody)->list(never));
  EXPECT_EQ(server.requests().size(), 2U);
}

// Whoever ends does not wait for a store that hangs.
TEST(Bucket, AListingEndsWhenItIsStopped) {
  const ScriptedHttp server({{200, "", true}});
  const auto bucket = make_bucket({"the bucket", at(server), ""}, anybody);
  std::atomic<bool> stop = false;
  const auto began = std::chrono::steady_clock::now();
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop = true;
  });
  const auto listed = bucket->list(stop);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Code::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

// The region is news to the first of them alone.
TEST(Bucket, AllThatAreToldAskAgain) {
  const ScriptedHttp first({kElsewhere, kElsewhere, kElsewhere});
  const ScriptedHttp second({{404, ""}, {404, ""}, {404, ""}});
  std::latch ready(2);
  std::atomic<int> prepared{0};
  const auto meet = [&](const ToSign&, clients::HttpHeaders&) -> Result<void> {
    if (prepared++ < 2) ready.arrive_and_wait();
    return {};
  };
  std::atomic<int> told{0};
  const auto bucket = make_bucket({"the bucket", at(first), ""}, meet,
                                  [&](const std::string&) -> std::optional<BucketAddress> {
                                    if (told++ > 0) return std::nullopt;
                                    return at(second);
                                  });
  std::atomic<int> answered{0};
  const auto look = [&] {
    const auto found = bucket->look("a");
    if (found && !*found) ++answered;
  };
  {
    const std::jthread one(look);
    const std::jthread other(look);
  }
  EXPECT_EQ(answered, 2) << "there is nothing of that name";
  EXPECT_EQ(first.requests().size(), 2U);
  EXPECT_EQ(second.requests().size(), 2U);
}

// Garage and others say it in the text alone.
TEST(Bucket, TheTextOfARefusalSaysTheRegion) {
  const ScriptedHttp first({{400,
                             "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message>"
                             "<Region>garage</Region></Error>"}});
  const ScriptedHttp second({{200, kListing}});
  std::string told;
  const auto bucket = make_bucket({"the bucket", at(first), ""}, anybody,
                                  [&](const std::string& region) -> std::optional<BucketAddress> {
                                    told = region;
                                    return at(second);
                                  });
  const auto listed = bucket->list(kNever);
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(told, "garage");
}

TEST(Bucket, ARefusalIsTranslatedAndItsTextIsNotRepeated) {
  struct Row {
    int status;
    std::string word;
    Code code;
    std::string told;
  };
  for (const Row& row : {
           Row{400, "ExpiredToken", Code::kPermissionDenied, "have expired"},
           Row{400, "InvalidToken", Code::kPermissionDenied, "session token"},
           Row{403, "InvalidAccessKeyId", Code::kPermissionDenied, "access key"},
           Row{403, "SignatureDoesNotMatch", Code::kPermissionDenied, "secret key"},
           Row{403, "RequestTimeTooSkewed", Code::kPermissionDenied, "clock"},
           Row{403, "AccessDenied", Code::kPermissionDenied, "s3:ListBucket"},
           Row{403, "InvalidObjectState", Code::kPermissionDenied, "archive"},
           Row{404, "NoSuchBucket", Code::kNotFound, "does not exist"},
           Row{301, "PermanentRedirect", Code::kFailedPrecondition, "AWS_REGION"},
           Row{400, "AuthorizationHeaderMalformed", Code::kFailedPrecondition, "AWS_REGION"},
           Row{403, "Strange", Code::kPermissionDenied, "refuses access"},
           Row{400, "Strange", Code::kFailedPrecondition, "status 400"},
       }) {
    const clients::HttpAnswer answer{
        row.status, {}, "<Error><Code>" + row.word + "</Code><Message>of others</Message></Error>"};
    const auto checked = check_bucket(answer, "the bucket");
    ASSERT_FALSE(checked) << row.word;
    const auto& error = checked.error();
    EXPECT_EQ(error.code, row.code) << row.word;
    EXPECT_TRUE(error.message.starts_with("the bucket ")) << error.message;
    EXPECT_NE(error.message.find(row.told), std::string::npos) << row.word << error.message;
    EXPECT_EQ(error.message.find("of others"), std::string::npos) << error.message;
  }
  EXPECT_TRUE(check_bucket({204, {}, ""}, "the bucket"));
  const clients::HttpAnswer refusal{403, {}, "<Error><Code>AccessDenied</Code></Error>"};
  EXPECT_EQ(check_bucket(refusal, "the bucket", "nobody signed").error().message,
            "the bucket refuses access: nobody signed");
}

TEST(Bucket, WhoHasNoKeysIsToldSo) {
  const Scripted refusal{403, "<Error><Code>AccessDenied</Code></Error>"};
  const ScriptedHttp server({refusal, refusal});
  const BucketPlace place{"the bucket", at(server), "", "there are no keys"};
  const auto anonymous = make_bucket(place, anybody)->list(kNever);
  ASSERT_FALSE(anonymous);
  EXPECT_NE(anonymous.error().message.find("there are no keys"), std::string::npos);
  const auto sign = [](const ToSign&, clients::HttpHeaders& headers) -> Result<void> {
    headers.emplace_back("Authorization", "x");
    return {};
  };
  const auto known = make_bucket(place, sign)->list(kNever);
  ASSERT_FALSE(known);
  EXPECT_EQ(known.error().message.find("there are no keys"), std::string::npos);
}

std::string listing(const std::vector<std::string>& keys) {
  std::string out = "<ListBucketResult>";
  for (const auto& key : keys) {
    out += "<Contents><Key>" + key + "</Key><Size>3</Size></Contents>";
  }
  return out + "</ListBucketResult>";
}

std::string keys_of(const Result<std::vector<Object>>& listed) {
  if (!listed) return listed.error().message;
  std::string out;
  for (const auto& object : *listed) out += object.key + " ";
  return out;
}

// An ingress whose store is not there now, a proxy, a login page.
TEST(Bucket, WhoDoesNotAnswerAsS3IsNotTheStore) {
  for (const auto& [answer, code] : std::vector<std::pair<Scripted, Code>>{
           {{404, "default backend - 404"}, Code::kUnavailable},
           {{404, "<html>nothing</html>"}, Code::kUnavailable},
           {{400, ""}, Code::kUnavailable},
           {{407, ""}, Code::kUnavailable},
           {{302, "", false, "Location: https://login.invalid/?x\r\n"}, Code::kUnavailable},
           {{404, "<Error><Code>NoSuchBucket</Code></Error>"}, Code::kNotFound},
           {{403, ""}, Code::kPermissionDenied}}) {
    const ScriptedHttp server({answer});
    const auto listed = make_bucket({"the bucket", at(server), ""}, anybody)->list(kNever);
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, code) << answer.status << listed.error().message;
    EXPECT_EQ(server.requests().size(), 1U) << "no other try makes sense";
  }
}

TEST(Bucket, AFileOfNoKnownKindIsNoEmptyFolder) {
  const ScriptedHttp server(
      {{200, listing({})}, {200, "abc"}, {200, listing({})}, {404, ""}, {200, listing({})}});
  const auto open = [&] {
    BucketAccess access{
        {"the bucket", at(server), ""}, {"models", "m/1/x.pt"}, anybody, nullptr, "test"};
    return std::move(locate(std::move(access), Layout({".onnx"})).store);
  };
  const auto file = open()->list(kNever);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kInvalidArgument);
  EXPECT_EQ(file.error().message, "'x.pt' is no model file; known endings are .onnx");
  EXPECT_TRUE(server.requests()[1].starts_with("HEAD /models/m/1/x.pt "));
  const auto nothing = open();
  EXPECT_TRUE(nothing->list(kNever)) << "there is nothing yet";
  EXPECT_TRUE(nothing->list(kNever));
  EXPECT_EQ(server.requests().size(), 5U) << "asked once";
}

// The whole bucket may have millions of others.
TEST(BucketFile, OnlyWhatMayBelongToItIsListed) {
  const ScriptedHttp server({{200, listing({"p/m/model.yaml", "p/m/v0/model.onnx"})},
                             {200, listing({"p/m/v1/model.onnx", "p/m/v1/parts/a"})},
                             {200, listing({"p/a.onnx", "p/b.txt"})},
                             {200, listing({"p/a.onnx", "p/manifest.sha256"})},
                             {200, listing({"p/a.onnx", "p/manifest.sha256", "p/w/b"})}});
  const auto listed = [&](const std::string& prefix, const std::string& file) {
    return keys_of(
        make_bucket({"the bucket", at(server), prefix, "", file}, anybody)->list(kNever));
  };
  EXPECT_EQ(listed("p/m/", "v1/model.onnx"), "model.yaml v1/model.onnx v1/parts/a ")
      << "also of a store that does not heed delimiters";
  EXPECT_EQ(listed("p/", "a.onnx"), "a.onnx b.txt ");
  EXPECT_EQ(listed("p/", "a.onnx"), "a.onnx manifest.sha256 w/b ") << "the manifest may name it";
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 5U);
  EXPECT_NE(asked[0].find("delimiter=%2F"), std::string::npos) << asked[0];
  EXPECT_NE(asked[1].find("prefix=p%2Fm%2Fv1%2F"), std::string::npos) << asked[1];
  EXPECT_EQ(asked[1].find("delimiter"), std::string::npos) << asked[1];
  EXPECT_NE(asked[2].find("delimiter"), std::string::npos) << asked[2];
  EXPECT_EQ(asked[4].find("delimiter"), std::string::npos) << asked[4];
}

TEST(BucketFile, WhoMayNotListAsksForEachFile) {
  const Scripted refusal{403, ""};
  const std::string digest(64, 'a');
  const auto manifest = digest + "  model.onnx\n" + digest + "  w.bin\n";
  const ScriptedHttp server({refusal,         // the listing
                             {200, "12345"},  // the model; HEAD has no body, but this length
                             refusal,
                             refusal,
                             {200, "model yaml"},
                             refusal,
                             {200, manifest},
                             {200, manifest},  // HEAD and GET
                             {200, "w"}});
  const auto listed =
      make_bucket({"the bucket", at(server), "m/", "", "v1/model.onnx"}, anybody)->list(kNever);
  EXPECT_EQ(keys_of(listed), "v1/model.onnx model.yaml v1/manifest.sha256 v1/w.bin ");
  EXPECT_EQ(listed->at(0).size, 5U);
}

TEST(BucketFile, WhoMayNotReadItEitherIsToldWhatListingNeeds) {
  const ScriptedHttp server({{403, "<Error><Code>AccessDenied</Code></Error>"}, {403, ""}});
  const auto listed =
      make_bucket({"the bucket", at(server), "", "", "a.onnx"}, anybody)->list(kNever);
  EXPECT_NE(keys_of(listed).find("s3:ListBucket"), std::string::npos) << keys_of(listed);
}

TEST(S3, NamesThatNoHostHasAreInThePath) {
  struct Row {
    std::string url;
    std::string region;
    std::string host;
    std::string path;
  };
  for (const Row& row :
       {Row{"s3://b/x", "cn-north-1", "b.s3.cn-north-1.amazonaws.com.cn", ""},
        Row{"s3://My_Bucket", "us-east-1", "s3.us-east-1.amazonaws.com", "/My_Bucket"},
        Row{"s3://a.b", "us-east-1", "s3.us-east-1.amazonaws.com", "/a.b"},
        Row{"s3://-b", "us-east-1", "s3.us-east-1.amazonaws.com", "/-b"}}) {
    const auto access = access_s3(row.url, environment({{"AWS_REGION", row.region}}));
    ASSERT_TRUE(access) << row.url;
    EXPECT_EQ(access->place.address.host, row.host);
    EXPECT_EQ(access->place.address.path, row.path);
  }
}

TEST(S3, ARegionBecomesAHostAndNothingElseDoes) {
  const auto access = access_s3("s3://models/prod", environment({{"AWS_REGION", "us-east-1"}}));
  ASSERT_TRUE(access) << access.error().message;
  EXPECT_EQ(access->place.address.host, "models.s3.us-east-1.amazonaws.com");
  for (const char* bad : {"", "us-east-1", "example.com/", "x.example.com", "a@b", "a:1", "a b",
                          "a\r\nb", "\xc3\xbc"}) {
    EXPECT_FALSE(access->on_region(bad)) << bad;
  }
  EXPECT_FALSE(access->on_region(std::string(64, 'a')));
  const auto moved = access->on_region("eu-west-1");
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->origin, "https://models.s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(moved->host, "models.s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(moved->path, "");
  EXPECT_FALSE(access->on_region("eu-west-1")) << "it is asked there already";
}

TEST(S3, AnEndpointOfOnesOwnStays) {
  const auto access = access_s3(
      "s3://models",
      environment({{"AWS_REGION", "us-east-1"}, {"AWS_ENDPOINT_URL", "http://127.0.0.1:9000"}}));
  ASSERT_TRUE(access) << access.error().message;
  const auto moved = access->on_region("eu-west-1");
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->origin, "http://127.0.0.1:9000");
  EXPECT_EQ(moved->path, "/models");
}

}  // namespace
}  // namespace sluice::sources
