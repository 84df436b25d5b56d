// What a file that was mapped becomes when a copy takes its place, and how much memory there is.

#include "base/mapping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/memory_left.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSize = 300 * kPage;

class Mapped : public testing::Test {
 protected:
  Mapped() {
    std::ofstream(path_, std::ios::binary) << std::string(kSize, 'a');
    fd_ = Fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    ours_ = map(MAP_SHARED, 0, kSize);
  }
  ~Mapped() override {
    ::munmap(ours_.data(), ours_.size());
    fs::remove(path_);
  }
  Pages map(int kind, std::size_t offset, std::size_t size) const {
    void* at = ::mmap(nullptr, size, PROT_READ, kind, fd_.get(), static_cast<off_t>(offset));
    EXPECT_NE(at, MAP_FAILED);
    return {static_cast<std::byte*>(at), size};
  }
  static bool all(Pages pages, char wanted) {
    return std::ranges::all_of(pages, [&](auto byte) { return char(byte) == wanted; });
  }

  const fs::path path_ = fs::path(testing::TempDir()) / ("mapping_" + std::to_string(::getpid()));
  Fd fd_;
  Pages ours_;
};

TEST_F(Mapped, OnlyPrivateMappingsOfTheFileAreFound) {
  EXPECT_TRUE(private_mappings(ours_.data()).empty());
  const auto theirs = map(MAP_PRIVATE, 8 * kPage, 20 * kPage);
  const auto found = private_mappings(ours_.data() + kPage);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].data(), theirs.data());
  EXPECT_EQ(found[0].size(), theirs.size());
  ::munmap(theirs.data(), theirs.size());
  EXPECT_TRUE(private_mappings(ours_.data()).empty());
  const std::vector<std::byte> memory(kSize);
  EXPECT_TRUE(private_mappings(memory.data()).empty()) << "not a file";
  EXPECT_TRUE(private_mappings(nullptr).empty());
}

TEST_F(Mapped, ACopyOutlivesTheFileAndIsReadMeanwhile) {
  const auto theirs = map(MAP_PRIVATE, 0, kSize);
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::jthread reader([&] {
    while (!stop) wrong += all(theirs, 'a') ? 0 : 1;
  });
  for (std::size_t at = 0; at < kSize; at += 100 * kPage) {
    EXPECT_TRUE(make_private(theirs.subspan(at, 100 * kPage)));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(private_mappings(ours_.data()).empty());
  ASSERT_EQ(::ftruncate(fd_.get(), 0), 0);  // to read the file would be SIGBUS
  EXPECT_TRUE(all(theirs, 'a'));
  EXPECT_EQ(::munmap(theirs.data(), theirs.size()), 0) << "by whoever mapped it";
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(MemoryLeft, IsTheLeastOfTheMachineAndItsGroups) {
  const auto root = fs::path(testing::TempDir()) / ("left_" + std::to_string(::getpid()));
  const auto proc = root / "proc";
  const auto groups = root / "groups";
  EXPECT_EQ(memory_left(proc, groups), 0U) << "nothing is known";
  write(proc / "meminfo", "MemTotal:  9000 kB\nMemAvailable:   3000 kB\n");
  EXPECT_EQ(memory_left(proc, groups), 3000U << 10);
  write(proc / "self" / "cgroup", "4:memory:/a\n1:cpu:/\n0::/x/y\n");
  EXPECT_EQ(memory_left(proc, groups), 3000U << 10) << "groups that are not there";
  write(groups / "x/y/memory.max", "max\n");
  write(groups / "x/y/memory.current", "900000\n");
  EXPECT_EQ(memory_left(proc, groups), 3000U << 10) << "no limit";
  write(groups / "x/memory.max", "1000000\n");
  write(groups / "x/memory.current", "900000\n");
  EXPECT_EQ(memory_left(proc, groups), 100'000U) << "of the group around it";
  write(groups / "x/memory.stat", "anon 5\ninactive_file 200000\nactive_file 100000\n");
  EXPECT_EQ(memory_left(proc, groups), 400'000U) << "files can be dropped";
  write(groups / "memory/a/memory.limit_in_bytes", "60000\n");
  write(groups / "memory/a/memory.usage_in_bytes", "70000\n");
  EXPECT_EQ(memory_left(proc, groups), 0U) << "over the limit, in version 1";
  fs::remove_all(root);
}

TEST(MemoryLeft, IsKnownOfThisMachine) { EXPECT_GT(memory_left(), 0U); }

}  // namespace
}  // namespace sluice
