#include "frontends/router.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::frontends {
namespace {

using transport::Header;
using transport::RequestHead;

constexpr std::string_view kHost = "127.0.0.1:8002";
constexpr std::string_view kPromote = "/api/models/fraud/release/promote";

// Some routes of both listeners, with handlers that are never called.
struct Routes {
  Routes() {
    const auto nothing = [](const transport::ExchangePtr&) {};
    router.serve("GET", "/api/models", nothing);
    router.serve("POST", "/api/models/{}/release/promote", nothing);
    router.serve("DELETE", "/api/models/{}/release", nothing);
    router.serve("POST", "/predict", nothing);
    router.serve("POST", "/v2/models/{}/infer", nothing);
  }

  transport::Response refusal(const RequestHead& head) {
    return router.admit(head).refusal.value_or(transport::Response{});
  }
  // 200 where it is admitted.
  int status(const RequestHead& head) { return refusal(head).status; }

  LiveSettings settings{std::make_shared<const Settings>()};
  Router router{{}, settings};
};

RequestHead asked(std::string_view method, std::string_view path, std::vector<Header> headers) {
  RequestHead out;
  out.method = method;
  out.path = path;
  out.headers = std::move(headers);
  out.management = true;
  return out;
}

RequestHead promote(std::string_view host, std::string_view origin) {
  return asked("POST", kPromote, {Header{"Host", host}, Header{"Origin", origin}});
}

TEST(Router, WithoutOriginTheManagementListenerIsChanged) {
  Routes routes;
  EXPECT_EQ(routes.status(asked("POST", kPromote, {Header{"Host", kHost}})), 200);
}

TEST(Router, PagesOfTheSameHostAndPortMayChangeIt) {
  Routes routes;
  const std::vector<std::pair<std::string_view, std::string_view>> same = {
      {"127.0.0.1:8002", "http://127.0.0.1:8002"},
      {"localhost:8002", "HTTP://LocalHost:8002"},
      {"[::1]:8002", "http://[::1]:8002"},
      {"sluice.example:80", "http://sluice.example"},
      {"sluice.example", "http://sluice.example:80"},
      {"sluice.example", "https://sluice.example"},
      {"sluice.example:443", "https://sluice.example"},
      {"sluice.example", "https://sluice.example:443"}};
  for (const auto& [host, origin] : same) {
    EXPECT_EQ(routes.status(promote(host, origin)), 200) << host << " " << origin;
  }
}

TEST(Router, PagesOfOthersMayNot) {
  Routes routes;
  const std::vector<std::pair<std::string_view, std::string_view>> foreign = {
      {kHost, "http://evil.example"},
      {kHost, "http://127.0.0.1:8000"},
      {kHost, "http://127.0.0.1"},
      {kHost, "http://127.0.0.1:8002.evil.example"},
      {kHost, "null"},
      {kHost, ""},
      {kHost, kHost},
      {"sluice.example", "http://sluice.example:443"},
      {"sluice.example:80", "https://sluice.example"},
      {"sluice.example:8002", "http://sluice.example:8"}};
  for (const auto& [host, origin] : foreign) {
    const auto refusal = routes.refusal(promote(host, origin));
    EXPECT_EQ(refusal.status, 403) << host << " " << origin;
    EXPECT_NE(refusal.body.find("\"foreign_origin\""), std::string::npos) << refusal.body;
  }
}

TEST(Router, EveryMethodThatChangesIsLookedAtWhateverItsApi) {
  Routes routes;
  const std::vector<Header> foreign = {{"Host", kHost}, {"Origin", "http://evil.example"}};
  EXPECT_EQ(routes.status(asked("DELETE", "/api/models/fraud/release", foreign)), 403);
  EXPECT_EQ(routes.status(asked("POST", "/predict", foreign)), 403);
  const auto refusal = routes.refusal(asked("POST", "/v2/models/fraud/infer", foreign));
  EXPECT_EQ(refusal.status, 403);
  EXPECT_TRUE(refusal.body.starts_with("{\"error\":\"")) << refusal.body;
}

TEST(Router, ReadingIsNotLookedAt) {
  Routes routes;
  const std::vector<Header> foreign = {{"Host", kHost}, {"Origin", "http://evil.example"}};
  EXPECT_EQ(routes.status(asked("GET", "/api/models", foreign)), 200);
  EXPECT_EQ(routes.status(asked("HEAD", "/api/models", foreign)), 200);
  EXPECT_EQ(routes.status(asked("OPTIONS", "/api/models", foreign)), 405);
}

TEST(Router, PublicListenersServePagesOfOthers) {
  Routes routes;
  for (const std::string_view origin : {"http://evil.example", "null"}) {
    auto head = asked("POST", "/predict", {Header{"Host", kHost}, Header{"Origin", origin}});
    head.management = false;
    EXPECT_EQ(routes.status(head), 200) << origin;
  }
}

}  // namespace
}  // namespace sluice::frontends
