#include "base/process_usage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <vector>

namespace sluice {
namespace {

TEST(ProcessUsage, CountsWhatThisProcessTakes) {
  const auto before = process_usage();
  EXPECT_GT(before.resident_bytes, 1U << 20);
  EXPECT_GE(before.virtual_bytes, before.resident_bytes);
  EXPECT_GE(before.threads, 1U);
  EXPECT_GE(before.most_open_files, before.open_files);
  const int files[] = {::open("/dev/null", O_RDONLY), ::open("/dev/null", O_RDONLY)};
  EXPECT_EQ(process_usage().open_files, before.open_files + 2);
  for (const int file : files) ::close(file);
}

TEST(ProcessUsage, TimeOfTheProcessorGrowsAndTheStartStays) {
  const auto before = process_usage();
  const auto own = [] {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  };
  const double until = own() + 0.05;
  while (own() < until) {
  }
  const auto after = process_usage();
  EXPECT_GE(after.cpu_seconds, before.cpu_seconds + 0.03);
  EXPECT_NEAR(after.cpu_seconds, own(), 0.05);
  EXPECT_EQ(after.started, before.started);
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(after.started, now + 2);
  EXPECT_GT(after.started, now - 86'400);
}

}  // namespace
}  // namespace sluice
