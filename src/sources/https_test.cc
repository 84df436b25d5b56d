// Web servers as they are: files that are not there yet, no HEAD, digests beside.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/digest.h"
#include "clients/testing/scripted_http.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

const std::atomic<bool> kNever{false};

using clients::testing::Scripted;
using clients::testing::ScriptedHttp;

std::optional<std::string> nothing(const char*) { return std::nullopt; }

Located open(const ScriptedHttp& server, const std::string& path) {
  return *open_https("http://" + server.authority() + path, Layout({".onnx"}), nothing);
}

std::string digest(std::string_view text) { return sha256_hex(text); }

Result<Fetched> fetch(ObjectStore& store, const Object& object, std::string& out) {
  const std::atomic<bool> never = false;
  const auto take = [&](std::span<const std::byte> piece) {
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return true;
  };
  return store.fetch(object, {0, object.size}, take, never);
}

// It is its version's trouble, and nobody else's.
TEST(WebTree, AFileThatIsListedAndNotThereIsNamed) {
  const auto manifest = digest("one") + "  fraud/v1/model.onnx\n" + digest("two") +
                        "  fraud/v2/model.onnx\n" + digest("w") + "  fraud/v3/weights\n" +
                        digest("page") + "  readme.html\n";
  const Scripted page{200, "page", false, "Content-Type: text/html\r\n"};
  const ScriptedHttp server({{200, manifest},
                             {200, "one"},
                             {404, ""},
                             page,
                             page,
                             {200, manifest},
                             {200, "two"},
                             {403, ""},
                             {403, ""}});
  const auto located = open(server, "/models/");
  const auto listed = located.store->list(kNever);
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 4U);
  EXPECT_EQ(listed->at(0).size, 3U);
  EXPECT_EQ(listed->at(3).size, 4U) << "a page that is meant to be one";
  for (const std::size_t missing : {1, 2}) {
    std::string content;
    const auto fetched = fetch(*located.store, listed->at(missing), content);
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().code, Code::kFailedPrecondition);
    EXPECT_NE(fetched.error().message.find(listed->at(missing).key), std::string::npos)
        << fetched.error().message;
  }
  const auto again = located.store->list(kNever);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->at(0), listed->at(0));
  EXPECT_NE(again->at(1), listed->at(1)) << "it is there by now";
  EXPECT_EQ(again->at(2), listed->at(2)) << "refused is not there either";
}

TEST(WebTree, OneThatFailsMayBeThereAndIsTriedAgain) {
  const auto manifest = digest("one") + "  fraud/v1/model.onnx\n";
  std::vector<Scripted> answers(6, {503, ""});
  answers[0] = {200, manifest};
  const ScriptedHttp server(answers);
  const auto listed = open(server, "/models/").store->list(kNever);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Code::kUnavailable);
}

// Links that are signed are signed for GET.
TEST(WebFile, WithoutHeadOneByteIsAskedFor) {
  const auto by = [](const Scripted& first, const Scripted& second) {
    const ScriptedHttp server({first, second, {404, ""}});
    const auto listed = open(server, "/fraud.onnx?sig=1").store->list(kNever);
    return listed ? std::to_string(listed->at(0).size) + " " + listed->at(0).etag
                  : listed.error().message;
  };
  const Scripted one{206, "x", false, "Content-Range: bytes 0-0/1234\r\nETag: \"e\"\r\n"};
  EXPECT_EQ(by({403, ""}, one), "1234 \"e\"");
  EXPECT_EQ(by({405, ""}, one), "1234 \"e\"");
  EXPECT_EQ(by({501, ""}, {200, std::string(500'000, 'x')}), "500000 ") << "it knows no ranges";
  EXPECT_EQ(by({403, ""}, {416, "", false, "Content-Range: bytes */0\r\n"}), "0 ");
  const auto refused = by({403, ""}, {403, ""});
  EXPECT_NE(refused.find("signed link has expired"), std::string::npos) << refused;
  EXPECT_EQ(refused.find("check the credentials"), std::string::npos) << refused;
  EXPECT_NE(by({404, ""}, one).find("does not have"), std::string::npos);
}

TEST(WebFile, TheDigestBesideIsItsOwnLine) {
  const auto found = [](const std::string& beside) {
    const ScriptedHttp server({{200, "one"}, {200, beside}});
    const auto listed = open(server, "/fraud.onnx").store->list(kNever);
    return listed ? listed->at(0).sha256 : listed.error().message;
  };
  EXPECT_EQ(found(digest("other") + "  a.onnx\n" + digest("one") + "  fraud.onnx\n"),
            digest("one"));
  EXPECT_EQ(found("SHA256 (fraud.onnx) = " + digest("one") + "\n"), digest("one"));
  const auto none = found(digest("a") + "  a.onnx\n" + digest("b") + "  b.onnx\n");
  EXPECT_NE(none.find("no line for 'fraud.onnx'"), std::string::npos) << none;
}

TEST(WebFile, TheDigestInItsUrl) {
  const ScriptedHttp server({{200, "one"}});
  auto upper = digest("one");
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const auto located = open(server, "/fraud.onnx#sha256=" + upper);
  const auto listed = located.store->list(kNever);
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->at(0).sha256, digest("one"));
  EXPECT_EQ(located.store->digests_are_in(), "its URL");
}

}  // namespace
}  // namespace sluice::sources
