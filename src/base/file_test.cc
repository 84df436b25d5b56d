#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() {
    fs::remove_all(root_);
    fs::create_directories(root_ / "inside" / "deep");
    std::ofstream(root_ / "inside" / "deep" / "a") << "hello";
    std::ofstream(root_ / "secret") << "secret";
    std::ofstream(root_ / "inside" / "empty");
    fs::create_symlink("../secret", root_ / "inside" / "out");
    fs::create_symlink("/etc/hostname", root_ / "inside" / "absolute");
    fs::create_directory_symlink("..", root_ / "inside" / "up");
    ::mkfifo((root_ / "inside" / "fifo").c_str(), 0600);
  }
  ~Files() override { fs::remove_all(root_); }

  // The text of a file beneath `inside`, or why it was refused.
  std::string read(const char* path) const {
    const auto directory = open_directory(root_ / "inside");
    const auto fd = open_beneath(*directory, path);
    if (!fd) return "refused: " + std::string(fd.error().reason);
    const auto text = read_text(*fd, 100, "the file");
    return text ? *text : "refused: " + std::string(text.error().reason);
  }

  const fs::path root_ = fs::path(testing::TempDir()) / ("files_" + std::to_string(::getpid()));
};

TEST_F(Files, NothingOutsideTheDirectoryOpens) {
  EXPECT_EQ(read("deep/a"), "hello");
  EXPECT_EQ(read("empty"), "");
  EXPECT_EQ(read("../secret"), "refused: unsafe_path");
  EXPECT_EQ(read("deep/../../secret"), "refused: unsafe_path");
  EXPECT_EQ(read("out"), "refused: unsafe_path");
  EXPECT_EQ(read("absolute"), "refused: unsafe_path");
  EXPECT_EQ(read("up/secret"), "refused: unsafe_path");
  EXPECT_EQ(read("/etc/hostname"), "refused: unsafe_path");
  EXPECT_EQ(read("deep"), "refused: unsafe_path");  // a directory
  EXPECT_EQ(read("fifo"), "refused: unsafe_path");  // and it did not wait for a writer
  EXPECT_EQ(read("missing"), "refused: unreadable");
}

TEST_F(Files, MessagesShowNoPath) {
  const auto directory = open_directory(root_ / "inside");
  const auto fd = open_beneath(*directory, "missing");
  EXPECT_EQ(fd.error().message.find("missing"), std::string::npos);
  EXPECT_EQ(fd.error().code, Code::kNotFound);
}

TEST_F(Files, MappedBytesOutliveTheDescriptor) {
  FileBytes bytes;
  {
    const auto directory = open_directory(root_ / "inside");
    bytes = *FileBytes::copy(*open_beneath(*directory, "deep/a"), "the file");
  }
  EXPECT_EQ(bytes.text(), "hello");
  EXPECT_FALSE(read_text(root_ / "secret", 3, "the file"));
}

}  // namespace
}  // namespace sluice
