#include "base/processors.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

namespace sluice {
namespace {

namespace fs = std::filesystem;

class Processors : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) / ("processors_" + std::to_string(::getpid()));
    fs::create_directories(root_ / "proc/self");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  unsigned found() const { return usable_processors(root_ / "proc", root_ / "groups"); }

  static unsigned allowed() {
    cpu_set_t set;
    EXPECT_EQ(::sched_getaffinity(0, sizeof(set), &set), 0);
    return static_cast<unsigned>(CPU_COUNT(&set));
  }

  const unsigned all_ = allowed();
  fs::path root_;
};

TEST_F(Processors, AreAllWhereNothingSaysLess) {
  EXPECT_EQ(found(), all_);
  write("proc/self/cgroup", "0::/a/b\n");
  write("groups/a/cpu.max", "max 100000\n");
  write("groups/a/b/cpu.max", "100000000 100000\n");
  EXPECT_EQ(found(), all_);
}

TEST_F(Processors, AreWhatTheStrictestGroupGives) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("groups/a/cpu.max", "50000 100000\n");
  write("groups/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(found(), 1U);
  write("groups/a/cpu.max", "100001 100000\n");
  EXPECT_EQ(found(), std::min(all_, 2U));
}

TEST_F(Processors, AreThoseOfAContainerThatSeesItsGroupAsTheRoot) {
  write("proc/self/cgroup", "0::/kubepods/pod1\n");
  write("groups/cpu.max", "100000 100000\n");
  EXPECT_EQ(found(), 1U);
}

TEST_F(Processors, AreFoundInVersionOne) {
  write("proc/self/cgroup", "3:cpu,cpuacct:/box\n2:memory:/box\n");
  write("groups/cpu/box/cpu.cfs_quota_us", "90000\n");
  write("groups/cpu/box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(found(), 1U);
  write("groups/cpu/box/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(found(), all_);
}

TEST_F(Processors, AreThoseThatTheThreadMayRunOn) {
  unsigned one = 0;
  std::thread([&] {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &set);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(set), &set), 0);
    one = found();
  }).join();
  EXPECT_EQ(one, 1U);
}

}  // namespace
}  // namespace sluice
