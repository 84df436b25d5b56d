#include "sources/manifest.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

namespace sluice::sources {
namespace {

const std::string kA(64, 'a');
const std::string kB = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string refusal(const std::string& text) {
  const auto read = read_manifest(text);
  if (read) return "none";
  EXPECT_EQ(read.error().code, Code::kInvalidArgument);
  EXPECT_EQ(read.error().reason, "bad_manifest");
  return read.error().message;
}

bool refused(const std::string& text) { return refusal(text) != "none"; }

TEST(Manifest, AsSha256sumWritesIt) {
  const auto read = read_manifest(kA + "  model.onnx\n" + kB + "  weights one.bin\n");
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].digest, kA);
  EXPECT_EQ((*read)[0].file, "model.onnx");
  EXPECT_EQ((*read)[1].digest, kB);
  EXPECT_EQ((*read)[1].file, "weights one.bin");
}

TEST(Manifest, AStarSaysBinary) {
  const auto read = read_manifest(kA + " *model.onnx");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at(0).file, "model.onnx");
}

TEST(Manifest, LineEndsOfOtherSystemsAndEmptyLines) {
  const auto read = read_manifest("\n" + kA + "  a\r\n  \n\r\n" + kB + "  b");
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].file, "a");
  EXPECT_EQ((*read)[1].file, "b");
}

TEST(Manifest, NothingIsInAnEmptyOne) {
  EXPECT_TRUE(read_manifest("")->empty());
  EXPECT_TRUE(read_manifest("\n\n")->empty());
}

TEST(Manifest, OtherFormsAreRefused) {
  EXPECT_TRUE(refused("hello"));
  EXPECT_TRUE(refused(kA));
  EXPECT_TRUE(refused(kA + "\n"));
  EXPECT_TRUE(refused(kA + "  "));
  EXPECT_TRUE(refused(kA + "  \n"));
  EXPECT_TRUE(refused(kA.substr(1) + "  model.onnx"));
  EXPECT_TRUE(refused(kA + "a  model.onnx"));
  EXPECT_TRUE(refused(kA.substr(1) + "g  model.onnx"));
  EXPECT_TRUE(refused(kA + "\t\tmodel.onnx"));
  EXPECT_TRUE(refused("model.onnx  " + kA));
  EXPECT_TRUE(refused("SHA256 (model.onnx) = " + kA.substr(1)));
  EXPECT_TRUE(refused("SHA256 () = " + kA));
  EXPECT_TRUE(refused("SHA256 (model.onnx = " + kA));
}

TEST(Manifest, FilesMayLieInFoldersBelowIt) {
  const auto read = read_manifest(kA + "  weights/w.bin");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at(0).file, "weights/w.bin");
}

TEST(Manifest, AsOtherToolsWriteIt) {
  std::string upper = kB;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const auto read =
      read_manifest(kA + "  ./model.onnx\n" + upper + "  ././a/b\nSHA256 (c (1).d) = " + kA + "\n" +
                    kB + "  ./manifest.sha256\n" + kB + "  v1/manifest.sha256\n");
  ASSERT_TRUE(read) << read.error().message;
  std::string all;
  for (const auto& line : *read) all += line.file + "=" + line.digest.substr(0, 2) + " ";
  EXPECT_EQ(all, "model.onnx=aa a/b=01 c (1).d=aa v1/manifest.sha256=01 ")
      << "not what it is itself";
}

TEST(Manifest, BesideOneFile) {
  const auto found = [](const std::string& text) {
    return digest_beside(text, "fraud.onnx").value_or("none").substr(0, 4);
  };
  EXPECT_EQ(found(kA), "aaaa");
  EXPECT_EQ(found("\n" + kA + "\r\n"), "aaaa");
  EXPECT_EQ(found(kA + "  fraud.onnx\n"), "aaaa");
  EXPECT_EQ(found(kA + "  /srv/models/other.onnx\n"), "aaaa") << "the only one, whatever its name";
  EXPECT_EQ(found("SHA256 (fraud.onnx) = " + kA + "\n"), "aaaa");
  EXPECT_EQ(found(kA + "  other.onnx\n" + kB + "  dist/fraud.onnx\n"), "0123") << "its own";
  EXPECT_EQ(found(kA + "  one.onnx\n" + kB + "  two.onnx\n"), "none");
  EXPECT_EQ(found(kA + "0"), "none");
  EXPECT_EQ(found("<html>"), "none");
  EXPECT_EQ(found(""), "none");
}

TEST(Manifest, NamesThatLeadOutAreRefused) {
  for (const std::string name :
       {"../secret", "a/../../b", "/etc/passwd", "..", "a/", "/", "./", "./../a"}) {
    EXPECT_TRUE(refused(kA + "  " + name)) << name;
  }
}

TEST(Manifest, OneBadLineSpoilsItAndIsNamed) {
  EXPECT_NE(refusal(kA + "  a\n" + kA + "  b\nhello\n").find("line 3"), std::string::npos);
}

TEST(Manifest, EmptyLinesCountInTheNumberOfABadOne) {
  EXPECT_NE(refusal("\n\n" + kA + "  a\nhello\n").find("line 4"), std::string::npos);
}

TEST(Manifest, AfterTheDigestComeTwoSpacesOrASpaceAndAStar) {
  EXPECT_TRUE(refused(kA + " xmodel.onnx"));
  EXPECT_TRUE(refused(kA + " \tmodel.onnx"));
}

TEST(Manifest, TheDirectoryItselfIsNoFile) { EXPECT_TRUE(refused(kA + "  .")); }

}  // namespace
}  // namespace sluice::sources
