// Web servers as they are: files that are not there yet, no HEAD, digests beside.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/digest.h"
#include "clients/testing/scripted_http.h"
#include "sources/object_tree.h"
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

// Also where a server does not say how large one is, or answers it strangely.
TEST(WebTree, AFileThatCannotBeHadIsItsVersionsTrouble) {
  const auto manifest = digest("one") + "  m/v1/model.onnx\n" + digest("two") +
                        "  m/v2/model.onnx\n" + digest("three") + "  m/v3/model.onnx\n";
  const Scripted unsized{200, "one", false, "", true};
  const ScriptedHttp server(
      {{200, manifest}, unsized, unsized, {400, ""}, {400, ""}, {200, "three"}});
  const auto located = open(server, "/models/");
  const auto listed = located.store->list(kNever);
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 3U);
  EXPECT_EQ(listed->at(2).size, 5U);
  std::string content;
  const auto fetched = fetch(*located.store, listed->at(0), content);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, Code::kFailedPrecondition);
  EXPECT_NE(fetched.error().message.find("let it send Content-Length"), std::string::npos)
      << fetched.error().message;
}

TEST(WebTree, OneThatFailsMayBeThereAndIsTriedAgain) {
  const auto manifest = digest("one") + "  fraud/v1/model.onnx\n";
  std::vector<Scripted> answers(11, {503, ""});
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
  const Scripted whole{200, "12345"};
  EXPECT_EQ(by({400, ""}, whole), "5 ");
  EXPECT_EQ(by({404, ""}, whole), "5 ");
  EXPECT_EQ(by({500, ""}, whole), "5 ");
  EXPECT_EQ(by({200, "", false, "", true}, whole), "5 ") << "no length";
  EXPECT_EQ(by({200, ""}, whole), "5 ") << "a wrong one";
  EXPECT_EQ(by({200, ""}, {200, ""}), "0 ");
  const auto none = by({200, "", false, "", true}, {200, "12345", false, "", true});
  EXPECT_NE(none.find("how large 'fraud.onnx' is; let it send Content-Length"), std::string::npos)
      << none;
  const Scripted one{206, "x", false, "Content-Range: bytes 0-0/1234\r\nETag: \"e\"\r\n"};
  EXPECT_EQ(by({403, ""}, one), "1234 \"e\"");
  EXPECT_EQ(by({405, ""}, one), "1234 \"e\"");
  EXPECT_EQ(by({501, ""}, {200, std::string(500'000, 'x')}), "500000 ") << "it knows no ranges";
  EXPECT_EQ(by({403, ""}, {416, "", false, "Content-Range: bytes */0\r\n"}), "0 ");
  EXPECT_EQ(by({200, ""}, {416, ""}), "0 ");
  const auto refused = by({403, ""}, {403, ""});
  EXPECT_NE(refused.find("signed link has expired"), std::string::npos) << refused;
  EXPECT_EQ(refused.find("check the credentials"), std::string::npos) << refused;
  const auto missing = by({404, ""}, {404, ""});
  EXPECT_TRUE(missing.starts_with("'fraud.onnx': the web server does not have")) << missing;
}

// As on a disk and in a bucket.
TEST(WebFile, AVersionsFileKeepsBothNames) {
  struct Row {
    std::string path;
    std::string asked;
    std::string file;
    std::string model;
    std::string version;
  };
  const Layout layout({".onnx"});
  for (const Row& row :
       {Row{"/models/fraud/v3/model.onnx", "/models/fraud/v3/model.onnx", "v3/model.onnx", "fraud",
            "v3"},
        Row{"/fraud/v3/model.onnx?sig=1", "/fraud/v3/model.onnx?sig=1", "v3/model.onnx", "fraud",
            "v3"},
        Row{"/fraud.onnx", "/fraud.onnx", "fraud.onnx", "fraud", "1"},
        Row{"/models/v3/fraud.onnx", "/models/v3/fraud.onnx", "fraud.onnx", "fraud", "1"},
        Row{"/v3/model.onnx", "/v3/model.onnx", "model.onnx", "model", "1"}}) {
    const ScriptedHttp server({{200, "one"}, {200, digest("one") + "  model.onnx\n"}});
    const auto located = open(server, row.path);
    EXPECT_EQ(located.file, row.file);
    const auto listed = located.store->list(kNever);
    ASSERT_EQ(server.requests().size(), 2U) << row.path;
    EXPECT_TRUE(server.requests()[0].starts_with("HEAD " + row.asked + " ")) << row.path;
    const auto path = row.asked.substr(0, row.asked.find('?'));
    EXPECT_TRUE(server.requests()[1].starts_with("GET " + path + ".sha256")) << row.path;
    const std::vector<Object> objects = {{row.file, 3, {}, {}, {}}};
    const ObjectTree tree(objects, nullptr);
    const auto models = layout.find_file(tree, located.file, located.name);
    ASSERT_TRUE(models) << models.error().message;
    EXPECT_EQ(models->at(0).name.str(), row.model) << row.path;
    EXPECT_EQ(models->at(0).versions.at(0).name.str(), row.version) << row.path;
    EXPECT_TRUE(listed) << row.path;
  }
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
