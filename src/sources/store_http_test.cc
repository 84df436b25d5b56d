// What stores answer to those who ask for a piece of an object, from a server in this process.

#include "sources/store_http.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "clients/testing/scripted_http.h"

namespace sluice::sources {
namespace {

using clients::testing::Scripted;
using clients::testing::ScriptedHttp;

struct Case {
  const char* what;
  Scripted answer;
  Range range;
  const char* outcome;  // the bytes, or the error's reason
  const char* key = "model.onnx";
};

TEST(FetchRange, TakesWhatTheObjectCanBe) {
  const std::string html = "Content-Type: text/html; charset=utf-8\r\n";
  // Of an object of ten bytes.
  const std::vector<Case> cases = {
      {"all of it", {200, "0123456789"}, {0, 10}, "0123456789"},
      {"a piece", {206, "345", false, "Content-Range: bytes 3-5/10\r\n"}, {3, 3}, "345"},
      {"all where a piece is asked for", {200, "0123456789"}, {3, 3}, "345"},
      {"all where its end is asked for", {200, "0123456789"}, {7, 3}, "789"},
      {"less", {200, "01234"}, {0, 10}, "cut"},
      {"more", {200, "0123456789x"}, {0, 10}, "changing"},
      {"more, where its end is asked for", {200, "0123456789x"}, {7, 3}, "changing"},
      {"a login page", {200, "<!doctype>", false, html}, {0, 10}, "not_a_store"},
      {"a page that is short", {200, "<html>", false, html}, {0, 10}, "not_a_store"},
      {"a page that is meant", {200, "<!doctype>", false, html}, {0, 10}, "<!doctype>", "a.html"},
      {"elsewhere by https", {308, "", false, "Location: https://h/\r\n"}, {0, 10}, "not_a_store"},
  };
  for (const auto& each : cases) {
    const ScriptedHttp server({each.answer});
    const clients::HttpClient client;
    clients::HttpRequest request;
    request.url = "http://" + server.authority() + "/";
    std::string got;
    const auto keep = [&](std::span<const std::byte> bytes) {
      got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return true;
    };
    const Object object{each.key, 10, {}, {}, {}};
    const auto done =
        fetch_range(client, std::move(request), object, each.range, "the store", keep);
    EXPECT_EQ(done ? got : std::string(done.error().reason), each.outcome) << each.what;
  }
}

TEST(CheckStatus, ARedirectIsSaidWithoutItsSecrets) {
  const clients::HttpAnswer login{302, {{"Location", "https://login.example/x?token=hunter2"}}, ""};
  const auto checked = check_status(login, "the store");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::kUnavailable) << "as a web page is";
  EXPECT_EQ(checked.error().message,
            "the store answers with a redirect, to a login page perhaps; or to itself by https: "
            "begin its address with https://");
  const auto proxy = check_status({407, {}, ""}, "the store");
  ASSERT_FALSE(proxy);
  EXPECT_EQ(proxy.error().code, Code::kUnavailable);
  EXPECT_NE(proxy.error().message.find("user:password@"), std::string::npos);
}

TEST(Unanswered, NamesTheVariableAndNotTheHost) {
  const Error error{Code::kUnavailable, "unreachable", "Couldn't connect to server", {}};
  EXPECT_EQ(unanswered(error, "the store", "http://127.0.0.1:1/a?key=hunter2").message,
            "the store: Couldn't connect to server");
  ::setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/path/", 1);
  EXPECT_EQ(unanswered(error, "the store", "http://127.0.0.1:1/a").message,
            "the store of AWS_ENDPOINT_URL: Couldn't connect to server");
  ::unsetenv("AWS_ENDPOINT_URL");
  ::setenv("http_proxy", "http://bob:hunter2@proxy:3128", 1);
  const auto proxied = unanswered(error, "the store", "http://store.invalid/a").message;
  ::unsetenv("http_proxy");
  EXPECT_EQ(proxied,
            "the store, asked through the proxy of http_proxy unless no_proxy excepts it: "
            "Couldn't connect to server");
}

TEST(Unanswered, AProxyThatWantsALoginForATunnel) {
  const ScriptedHttp proxy({{407, ""}});
  ::setenv("https_proxy", ("http://" + proxy.authority()).c_str(), 1);
  const clients::HttpClient client;
  clients::HttpRequest request;
  request.url = "https://store.invalid/";
  const auto answer = client.send(request);
  ::unsetenv("https_proxy");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_NE(answer.error().message.find("user:password@"), std::string::npos)
      << answer.error().message;
}

}  // namespace
}  // namespace sluice::sources
