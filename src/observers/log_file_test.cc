// Lines stay whole, files are rotated and the oldest removed, a full disk loses nothing by itself.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <ctime>

#include "observers/log_rotation.h"
#include "observers/testing/logs.h"

namespace sluice::observers {
namespace {

namespace fs = std::filesystem;

using LogFiles = Logs;

// No file of this process may become larger while it lives.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
  }
  ~SmallFiles() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_ = nullptr;
};

TEST_F(LogFiles, RotatedNamesSayWhenAndAreNeverUsedTwice) {
  const LogRotation rotation(root_ / "p.jsonl", 2, LogRotation::kAny);
  EXPECT_EQ(rotation.name_at(1'700'000'000), root_ / "p-20231114-221320-1.jsonl");
  put("p-20231114-221320-1.jsonl", "x");
  EXPECT_EQ(rotation.name_at(1'700'000'000), root_ / "p-20231114-221320-2.jsonl");
  const LogRotation bare("p", 2, LogRotation::kAny);
  EXPECT_EQ(bare.name_at(0), fs::path("./p-19700101-000000-1"));
}

TEST_F(LogFiles, TheOldestAreRemovedAndNobodyElses) {
  for (const char* name :
       {"p-20231114-221320-2.jsonl", "p-20231114-221320-10.jsonl", "p-20231114-221319-11.jsonl",
        "p-20240101-000000-1.jsonl", "p-2023111-2213200-1.jsonl", "p-20231114-221320-1.json",
        "q-20231114-221320-1.jsonl", "p-20231114-221320-.jsonl", "p-notes.jsonl", "p.jsonl"}) {
    put(name, "x");
  }
  const LogRotation rotation(root_ / "p.jsonl", 2, LogRotation::kAny);
  ASSERT_EQ(rotation.rotated().size(), 4u);
  EXPECT_EQ(rotation.rotated().front(), root_ / "p-20231114-221319-11.jsonl");
  EXPECT_TRUE(rotation.remove_oldest());
  EXPECT_EQ(rotation.rotated(), (std::vector<fs::path>{root_ / "p-20231114-221320-10.jsonl",
                                                       root_ / "p-20240101-000000-1.jsonl"}));
  EXPECT_EQ(names().size(), 8u);
}

TEST_F(LogFiles, TheOldestAreRemovedByTheirBytes) {
  for (int i = 1; i <= 5; ++i) {
    put("p-20231114-22132" + std::to_string(i) + "-1.parquet", std::string(10, 'x'));
  }
  EXPECT_TRUE(LogRotation(root_ / "p.parquet", LogRotation::kAny, 35).remove_oldest());
  EXPECT_EQ(names().size(), 3u);
  EXPECT_TRUE(LogRotation(root_ / "p.parquet", LogRotation::kAny, 1).remove_oldest());
  EXPECT_EQ(names(), std::vector<std::string>{"p-20231114-221325-1.parquet"});
}

TEST_F(LogFiles, AFileIsContinuedThenRotated) {
  put("p.jsonl", "old\n");
  auto wanted = options("p.jsonl");
  wanted.rotate = 10;
  wanted.keep = 2;
  auto log = open(wanted);
  const auto write = [&](std::string text) {
    LogBatch batch = lines(std::move(text));
    ASSERT_TRUE(log.target->write(batch));
    EXPECT_TRUE(batch.empty());
  };
  write("12345\n");
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "old\n12345\n");
  write("a\nb\n");
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "a\nb\n");
  write("longer than a file may be\n");
  write("c\n");
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "c\n");
  const auto rotated = LogRotation(root_ / "p.jsonl", 2, 0).rotated();
  ASSERT_EQ(rotated.size(), 2u);
  EXPECT_EQ(bytes_of(rotated[0]), "a\nb\n");
  EXPECT_EQ(bytes_of(rotated[1]), "longer than a file may be\n");
  EXPECT_EQ(log.counters->written, 5u);
  EXPECT_EQ(log.counters->bytes, 38u);
  EXPECT_EQ(log.counters->rotations, 3u);
  struct stat info {};
  ASSERT_EQ(::stat((root_ / "p.jsonl").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07, 0u);
}

TEST_F(LogFiles, AHalfLineIsPutAside) {
  put("p.jsonl", "{\"whole\":1}\n{\"ha");
  auto log = open(options("p.jsonl"));
  LogBatch batch = lines("{}\n");
  ASSERT_TRUE(log.target->write(batch));
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "{}\n");
  EXPECT_EQ(names().size(), 2u);
}

TEST_F(LogFiles, AFileThatIsMovedAwayIsOpenedAnew) {
  auto log = open(options("p.jsonl"));
  LogBatch batch = lines("1\n");
  ASSERT_TRUE(log.target->write(batch));
  fs::rename(root_ / "p.jsonl", root_ / "elsewhere");
  batch = lines("2\n");
  ASSERT_TRUE(log.target->write(batch));
  fs::remove(root_ / "p.jsonl");
  batch = lines("3\n");
  ASSERT_TRUE(log.target->write(batch));
  EXPECT_EQ(bytes_of(root_ / "elsewhere"), "1\n");
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "3\n");
}

TEST_F(LogFiles, WhatIsNoFileIsRefusedWithoutAPath) {
  fs::create_directories(root_ / "d.jsonl");
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  for (const char* name : {"d.jsonl", "fifo", "missing/p.jsonl"}) {
    const auto log = open_log(options(name));
    ASSERT_FALSE(log) << name;
    EXPECT_FALSE(log.error().message.contains(root_.string())) << log.error().message;
    EXPECT_TRUE(log.error().message.contains("prediction log '")) << log.error().message;
  }
}

TEST_F(LogFiles, AFullDiskLeavesWholeLinesAndLosesNone) {
  auto log = open(options("p.jsonl"));
  LogBatch batch = lines("first\n");
  ASSERT_TRUE(log.target->write(batch));
  batch = lines("second\nthird\n");
  {
    const SmallFiles full(10);
    const auto result = log.target->write(batch);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().reason, "unwritable");
    EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "first\n");
    EXPECT_EQ(batch.lines, 2u);
  }
  ASSERT_TRUE(log.target->write(batch));
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "first\nsecond\nthird\n");
  EXPECT_EQ(log.counters->written, 3u);
}

TEST_F(LogFiles, AWriterGoesOnWhenTheDiskHasRoomAgain) {
  auto log = open(options("p.jsonl"));
  const auto counters = log.counters;
  LogWriter writer(std::move(log));
  {
    const SmallFiles full(3);
    ASSERT_TRUE(writer.give(lines("one line\n")));
    ASSERT_TRUE(becomes([&] { return counters->failures > 0; }));
    ASSERT_TRUE(writer.give(lines("another\n")));
  }
  EXPECT_TRUE(becomes([&] { return counters->written == 2; }));
  EXPECT_TRUE(writer.close(kLong));
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "one line\nanother\n");
  EXPECT_EQ(counters->dropped, 0u);
}

TEST_F(LogFiles, WhatADiskRefusesUntilTheEndIsCounted) {
  auto log = open(options("p.jsonl"));
  const auto counters = log.counters;
  LogWriter writer(std::move(log));
  const SmallFiles full(3);
  ASSERT_TRUE(writer.give(lines("1 line\n")));
  ASSERT_TRUE(writer.give(lines("2 line\n3 line\n")));
  EXPECT_TRUE(writer.close(kLong));
  EXPECT_EQ(counters->written, 0u);
  EXPECT_EQ(counters->dropped, 3u);
  EXPECT_EQ(bytes_of(root_ / "p.jsonl"), "");
}

// A pipe that nobody reads, and which waits for nobody.
TEST_F(LogFiles, AStreamGoesOnWhereItStopped) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  const Fd reads(ends[0]);
  const Fd writes(ends[1]);
  const auto counters = std::make_shared<LogCounters>();
  const auto target = open_log_stream(writes.get(), *counters);
  std::string text;
  for (int i = 0; text.size() < 200'000; ++i) text += std::to_string(i) + "\n";
  LogBatch batch = lines(text);
  const auto all = batch.lines;
  std::string got;
  for (int tries = 0; tries < 100 && !batch.empty(); ++tries) {
    const auto result = target->write(batch);
    EXPECT_EQ(counters->written + batch.lines, all);
    char some[100'000];
    const auto size = ::read(reads.get(), some, sizeof some);
    if (size > 0) got.append(some, static_cast<std::size_t>(size));
    EXPECT_EQ(result.has_value(), batch.empty());
  }
  while (got.size() < text.size()) {
    char some[100'000];
    const auto size = ::read(reads.get(), some, sizeof some);
    ASSERT_GT(size, 0);
    got.append(some, static_cast<std::size_t>(size));
  }
  EXPECT_EQ(got, text);
  EXPECT_EQ(counters->written, all);
}

}  // namespace
}  // namespace sluice::observers
