#include "sources/manifest.h"

#include <gtest/gtest.h>

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
  EXPECT_TRUE(refused("SHA256 (model.onnx) = " + kA)) << "BSD's form";
}

TEST(Manifest, FilesMayLieInFoldersBelowIt) {
  const auto read = read_manifest(kA + "  weights/w.bin");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at(0).file, "weights/w.bin");
}

TEST(Manifest, NamesThatLeadOutAreRefused) {
  for (const std::string name : {"../secret", "a/../../b", "/etc/passwd", "..", "a/", "/"}) {
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
