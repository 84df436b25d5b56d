// What the file of the embedded store must survive.

#include "state/sqlite.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <vector>

#include "state/builtin.h"
#include "state/testing/place.h"

namespace sluice::state {
namespace {

namespace fs = std::filesystem;
using testing::count_up;
using testing::decision;
using testing::Directory;
using testing::opened;

constexpr auto kHighest = std::numeric_limits<std::uint64_t>::max();

// A process of its own, which has none of the test's stores; answers what `work` answers.
pid_t start(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  return child;
}

int exit_code(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class StateFile : public ::testing::Test {
 protected:
  std::string reason(const std::string& where) {
    const auto store = open_state(where);
    if (store) return "opened";
    EXPECT_EQ(store.error().message.find(directory_.text()), std::string::npos)
        << "it shows a path: " << store.error().message;
    EXPECT_EQ(store.error().code, store.error().reason == "bad_state" ? Code::kDataLoss
                                  : store.error().reason == "state_unavailable"
                                      ? Code::kUnavailable
                                      : Code::kInvalidArgument);
    return std::string(store.error().reason);
  }
  std::string reason() { return reason(directory_.text()); }

  // Enough for many pages, all of it in the file when this returns.
  void fill() {
    const auto store = opened(directory_.text());
    const std::string body(2000, 'x');
    for (int i = 0; i < 50; ++i) {
      const auto key = "model" + std::to_string(i);
      ASSERT_TRUE(store->put("release", key, body, 0, decision(body)));
      ASSERT_TRUE(store->save("evidence", key, body));
      ASSERT_TRUE(store->put_blob("pending", key, 1, body));
    }
  }
  std::string read_file() const {
    std::ifstream in(directory_.file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void write_file(std::string_view bytes) const {
    std::ofstream(directory_.file(), std::ios::binary | std::ios::trunc) << bytes;
  }
  // One number of the database's head, as SQLite's file format has it.
  void set_header(std::size_t at, char value) const {
    auto bytes = read_file();
    bytes.at(at) = value;
    write_file(bytes);
  }

  const Directory directory_;
};

TEST_F(StateFile, OnlyItsOwnerMayReadIt) {
  const auto store = opened(directory_.text() + "/");
  ASSERT_TRUE(store->save("evidence", "fraud", "1"));
  struct stat info {};
  ASSERT_EQ(::stat(directory_.text().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(directory_.text())) {
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U) << entry.path().filename();
    ++files;
  }
  EXPECT_EQ(files, 3) << "the file, its log and its index; no draft";
}

TEST_F(StateFile, WhatIsNoDatabaseIsBad) {
  fs::create_directories(directory_.text());
  write_file("");
  EXPECT_EQ(reason(), "bad_state") << "an empty file is one that was cut off";
  write_file("this is not a database");
  EXPECT_EQ(reason(), "bad_state");
  write_file(std::string(100'000, '\xa5'));
  EXPECT_EQ(reason(), "bad_state");
  fs::remove(directory_.file());
  fs::create_directory(directory_.file());
  EXPECT_EQ(reason(), "bad_state");
}

TEST_F(StateFile, AFileThatIsCutOffIsBad) {
  fill();
  const auto whole = read_file();
  ASSERT_GT(whole.size(), 300'000U);
  for (const std::size_t left : {whole.size() - 1, whole.size() - 4096, whole.size() / 2,
                                 std::size_t{4096}, std::size_t{100}, std::size_t{1}}) {
    write_file(std::string_view(whole).substr(0, left));
    EXPECT_EQ(reason(), "bad_state") << left << " bytes are left";
  }
  write_file(whole);
  EXPECT_EQ(reason(), "opened");
}

TEST_F(StateFile, GarbageOnAnyPageIsBadOrHarmless) {
  fill();
  const auto whole = read_file();
  int bad = 0;
  for (std::size_t page = 0; page < whole.size() / 4096; ++page) {
    auto bytes = whole;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(page * 4096), 4096, '\xa5');
    write_file(bytes);
    const auto answer = reason();
    EXPECT_TRUE(answer == "bad_state" || answer == "opened") << answer;
    bad += answer == "bad_state" ? 1 : 0;
  }
  EXPECT_GT(bad, 50) << "only pages of pure text may go unnoticed";
}

TEST_F(StateFile, AFileOfAnotherProgramIsRefused) {
  fill();
  set_header(68, 'X');  // application_id
  EXPECT_EQ(reason(), "bad_state");
}

TEST_F(StateFile, ANewerLayoutIsRefusedAndLeftAlone) {
  fill();
  set_header(63, 2);  // user_version
  const auto before = read_file();
  const auto store = open_state(directory_.text());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().reason, "bad_state");
  EXPECT_NE(store.error().message.find("newer"), std::string::npos);
  EXPECT_EQ(read_file(), before);
}

TEST_F(StateFile, WhereNothingCanBeMadeItIsUnavailable) {
  const auto blocked = directory_.text();
  std::ofstream(blocked) << "a file";
  EXPECT_EQ(reason(blocked), "state_unavailable");
  EXPECT_EQ(reason(blocked + "/deeper"), "state_unavailable");
  EXPECT_EQ(reason("/proc/sluice"), "state_unavailable");
  EXPECT_EQ(reason(""), "bad_state_url");
  EXPECT_EQ(reason("nosuch://host/1"), "bad_state_url");
}

// Root may write everywhere: as nobody, in a process of its own.
TEST_F(StateFile, WhatMayNotBeWrittenIsUnavailable) {
  fill();
  const auto answer = [&](mode_t directory, mode_t file) {
    fs::permissions(directory_.text(), fs::perms(0700));
    fs::permissions(directory_.file(), fs::perms(file));
    fs::permissions(directory_.text(), fs::perms(directory));
    return exit_code(start([&] {
      if (::geteuid() == 0 && ::setuid(65534) != 0) return 99;
      return reason() == "state_unavailable" ? 0 : 1;
    }));
  };
  EXPECT_EQ(answer(0555, 0666), 0) << "its log cannot be made beside it";
  EXPECT_EQ(answer(0000, 0666), 0);
  EXPECT_EQ(answer(0777, 0444), 0);
  fs::permissions(directory_.text(), fs::perms(0700));
}

TEST_F(StateFile, TheLogDoesNotGrowForEver) {
  const auto store = opened(directory_.text());
  const std::string bytes(64 << 10, 'x');
  for (std::uint64_t i = 0; i < 300; ++i) {  // 19 MB
    ASSERT_TRUE(store->put_blob("pending", "fraud", i, bytes));
  }
  EXPECT_LT(fs::file_size(directory_.file().string() + "-wal"), 8U << 20);
  EXPECT_GT(fs::file_size(directory_.file()), 10U << 20);
}

TEST_F(StateFile, TwoHandlesSeeEachOther) {
  const auto one = opened(directory_.text());
  const auto two = opened(directory_.text());
  ASSERT_TRUE(one->put("release", "fraud", "a", 0, decision("start")));
  EXPECT_EQ(two->document("release", "fraud").value().value().body, "a");
  EXPECT_FALSE(two->put("release", "fraud", "b", 0, std::nullopt));
  ASSERT_TRUE(two->put("release", "fraud", "b", 1, std::nullopt));
  EXPECT_EQ(one->document("release", "fraud").value().value().body, "b");
  EXPECT_EQ(two->journal("decisions", "fraud", 9)->size(), 1U);
}

TEST_F(StateFile, OfTwoProcessesOneWins) {
  constexpr int kProcesses = 3;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    // All of them make the file, at the same time.
    children.push_back(start([&] {
      const auto store = open_state(directory_.text());
      return store && count_up(**store, 30) ? 0 : 1;
    }));
  }
  for (const auto child : children) EXPECT_EQ(exit_code(child), 0);
  const auto store = opened(directory_.text());
  EXPECT_EQ(store->document("release", "counter").value().value().body, "90");
  EXPECT_EQ(store->journal("decisions", "fraud", 1000)->size(), 90U);
}

// Puts and saves one number after the other and tells each when the store has taken it.
int put_for_ever(const std::string& where, int to) {
  const auto store = open_state(where);
  if (!store) return 1;
  const auto there = (*store)->document("release", "fraud");
  for (std::uint64_t next = there && *there ? (*there)->revision + 1 : 1;; ++next) {
    const auto text = std::to_string(next);
    if (!(*store)->put("release", "fraud", text, next - 1, decision(text))) return 2;
    if (!(*store)->save("evidence", "fraud", text)) return 3;
    if (!(*store)->put_blob("pending", "fraud", next, text)) return 4;
    if (::write(to, &next, sizeof next) != sizeof next) return 5;
  }
}

// The last number that a child told before it was killed, at least `enough`.
std::uint64_t kill_after(const std::string& where, std::uint64_t enough) {
  int ends[2];
  if (::pipe(ends) != 0) return 0;
  const pid_t child = start([&] { return put_for_ever(where, ends[1]); });
  ::close(ends[1]);
  std::uint64_t told = 0;
  std::uint64_t number = 0;
  bool killed = false;
  while (::read(ends[0], &number, sizeof number) == sizeof number) {
    told = number;
    if (told >= enough && !killed) killed = ::kill(child, SIGKILL) == 0;
  }
  ::close(ends[0]);
  EXPECT_TRUE(killed);
  EXPECT_EQ(exit_code(child), -1) << "it ended by itself";
  return told;
}

TEST_F(StateFile, WhatWasToldIsThereAfterAKill) {
  for (std::uint64_t round = 1; round <= 5; ++round) {
    const auto told = kill_after(directory_.text(), round * 40);
    const auto store = opened(directory_.text());
    ASSERT_TRUE(store);
    const auto there = store->document("release", "fraud").value().value();
    EXPECT_GE(there.revision, told);
    EXPECT_LE(there.revision, told + 1) << "nothing that nobody did";
    EXPECT_EQ(there.body, std::to_string(there.revision));
    const auto decisions = store->journal("decisions", "fraud", kHighest).value();
    EXPECT_EQ(decisions.size(), there.revision) << "each put with its entry, or without both";
    EXPECT_EQ(decisions.back(), there.body);
    EXPECT_GE(std::stoull(store->saved("evidence", "fraud").value().value()), told);
    EXPECT_GE(store->blobs("pending", "fraud")->size(), told - (round - 1))
        << "at most one of each round before was never told";
  }
}

}  // namespace
}  // namespace sluice::state
