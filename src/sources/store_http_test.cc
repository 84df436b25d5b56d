// What stores answer to those who ask for a piece of an object, from a server in this process.

#include "sources/store_http.h"

#include <gtest/gtest.h>

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
      {"elsewhere by https",
       {308, "", false, "Location: https://h/\r\n"},
       {0, 10},
       "strange_answer"},
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

}  // namespace
}  // namespace sluice::sources
