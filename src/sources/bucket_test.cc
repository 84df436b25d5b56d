// A bucket that is elsewhere than was thought.

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
#include "sources/stores.h"

namespace sluice::sources {
namespace {

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
