#include "sources/disk_tree.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

using Strings = std::vector<std::string>;

class Tree : public testing::Test {
 protected:
  Tree() {
    std::string pattern = testing::TempDir() + "treeXXXXXX";
    base_ = ::mkdtemp(pattern.data());
    put("model/v1/model.onnx", "first");
    put("model/model.yaml", "versions: all\n");
    put("single.onnx", "one");
    put(".hidden/file", "");
  }
  ~Tree() override { fs::remove_all(base_); }

  fs::path root() const { return base_ / "models"; }
  void put(const fs::path& file, std::string_view text) {
    fs::create_directories((root() / file).parent_path());
    std::ofstream(root() / file) << text;
  }

  fs::path base_;
};

TEST_F(Tree, ListsDirectoriesAndFilesWhereverLinksLead) {
  fs::create_directory(base_ / "elsewhere");
  fs::create_directory_symlink(base_ / "elsewhere", root() / "linked");
  fs::create_symlink(root() / "single.onnx", root() / "link.onnx");
  fs::create_symlink(base_ / "nothing", root() / "broken");
  const auto tree = DiskTree::open(root());
  ASSERT_TRUE(tree);
  const auto top = tree->list("");
  EXPECT_EQ(top.directories, (Strings{"linked", "model"}));
  EXPECT_EQ(top.files, (Strings{"broken", "link.onnx", "single.onnx"}));
  EXPECT_EQ(tree->list("model/v1").files, Strings{"model.onnx"});
  EXPECT_TRUE(tree->list("model/v2").files.empty());
  EXPECT_EQ(tree->trouble(), std::nullopt);
}

TEST_F(Tree, AFingerprintIsOfOneFileAndItsContents) {
  const auto tree = DiskTree::open(root());
  ASSERT_TRUE(tree);
  const auto before = tree->fingerprint("single.onnx");
  EXPECT_EQ(tree->fingerprint("single.onnx"), before);
  EXPECT_NE(tree->fingerprint("model/model.yaml"), before);
  put("single.onnx", "another");
  EXPECT_NE(tree->fingerprint("single.onnx"), before);
  EXPECT_EQ(tree->fingerprint("no.onnx"), "none");
}

TEST_F(Tree, NothingIsReadThroughALinkThatLeadsOut) {
  std::ofstream(base_ / "secret") << "of somebody else";
  fs::create_symlink(base_ / "secret", root() / "model.yaml");
  const auto tree = DiskTree::open(root());
  ASSERT_TRUE(tree);
  EXPECT_EQ(*tree->read("model/model.yaml", "model.yaml"), "versions: all\n");
  EXPECT_FALSE(tree->read("model.yaml", "model.yaml"));
}

// Else all its models would be held to be gone, and end.
TEST_F(Tree, MovedAwayInTheMiddleOfALookItIsSeenAsItWas) {
  const auto tree = DiskTree::open(root());
  ASSERT_TRUE(tree);
  const auto before = tree->fingerprint("single.onnx");
  fs::rename(root(), base_ / "away");
  put("other/v1/model.onnx", "of another directory with the same name");
  EXPECT_EQ(tree->list("").directories, Strings{"model"});
  EXPECT_EQ(tree->list("model").directories, Strings{"v1"});
  EXPECT_EQ(tree->fingerprint("single.onnx"), before);
  EXPECT_EQ(*tree->read("model/model.yaml", "model.yaml"), "versions: all\n");

  const auto next = DiskTree::open(root());
  ASSERT_TRUE(next);
  EXPECT_EQ(next->list("").directories, Strings{"other"});
}

TEST_F(Tree, ADirectoryThatIsNotThereIsAnError) {
  fs::rename(root(), base_ / "away");
  const auto gone = DiskTree::open(root());
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().reason, "no_such_path");
  std::ofstream(root()) << "a file";
  EXPECT_FALSE(DiskTree::open(root()));
}

}  // namespace
}  // namespace sluice::sources
