#include "sources/download_cache.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>

#include "base/digest.h"
#include "sources/cache_disk.h"
#include "sources/testing/on_disk.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;
using testing::pattern;
using testing::TempDirectory;

// Names as a store's and an entry's are.
const std::string kStore(24, 'a');
const std::string kOther(24, 'b');
std::string id(char digit) { return std::string(32, digit); }

// An entry with one file of so many bytes.
DownloadCache::Entry fill(DownloadCache& cache, const std::string& id, std::size_t size) {
  auto entry = cache.enter(id, [] { return true; });
  EXPECT_TRUE(entry);
  EXPECT_FALSE(entry->whole);
  EXPECT_TRUE(cache.make_room(*entry, size));
  const auto part = cache.begin(*entry);
  EXPECT_TRUE(part);
  const auto content = pattern(size);
  std::ofstream(*part / "a", std::ios::binary) << content;
  EXPECT_TRUE(
      cache.complete(*entry, {{"a", size, "sha256:" + sha256_hex(std::string_view(content))}}));
  return std::move(*entry);
}

bool has(DownloadCache& cache, const std::string& id) {
  return cache.enter(id, [] { return true; })->whole;
}

TEST(DownloadCache, MakesRoomButNotOfWhatIsUsed) {
  const TempDirectory temp;
  constexpr std::size_t kSize = 100'000;
  const auto cache = DownloadCache::open(temp.path(), 3 * kSize + 20'000, kStore);
  ASSERT_TRUE(cache);
  auto used = fill(**cache, id('1'), kSize);
  (void)fill(**cache, id('2'), kSize);
  (void)fill(**cache, id('3'), kSize);
  const auto aged = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(temp.path() / kStore / id('1') / "record.json", aged);
  fs::last_write_time(temp.path() / kStore / id('2') / "record.json",
                      aged + std::chrono::minutes(1));
  // Another process, as far as locks can tell.
  const auto other = DownloadCache::open(temp.path(), 3 * kSize + 20'000, kOther);
  (void)fill(**other, id('4'), kSize);
  EXPECT_TRUE(has(**cache, id('1'))) << "the oldest, but in use";
  EXPECT_FALSE(has(**cache, id('2'))) << "the oldest that nobody uses";
  EXPECT_TRUE(has(**cache, id('3')));
  const auto entry = (*other)->enter(id('5'), [] { return true; });
  const auto room = (*other)->make_room(*entry, 4 * kSize);
  ASSERT_FALSE(room);
  EXPECT_EQ(room.error().reason, "no_room");
}

// What is being fetched has holes: how much is on the disk says nothing of what will be.
TEST(DownloadCache, RoomIsGivenAwayOnce) {
  const TempDirectory temp;
  constexpr std::size_t kSize = 6 << 20;
  const auto cache = DownloadCache::open(temp.path(), 10 << 20, kStore);
  ASSERT_TRUE(cache);
  const auto wanted = [] { return true; };
  auto first = (*cache)->enter(id('1'), wanted);
  const auto second = (*cache)->enter(id('2'), wanted);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE((*cache)->make_room(*first, kSize));
  ASSERT_TRUE((*cache)->make_room(*first, kSize)) << "its own does not stand in its way";
  const auto part = (*cache)->begin(*first);
  ASSERT_TRUE(part);
  const auto refused = (*cache)->make_room(*second, kSize);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable) << "the repository tries again";
  EXPECT_EQ(refused.error().reason, "no_room");
  const auto never = (*cache)->make_room(*second, 11 << 20);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, Code::kResourceExhausted);
  std::ofstream(*part / "a", std::ios::binary) << pattern(kSize);
  ASSERT_TRUE((*cache)->complete(*first, {{"a", kSize, ""}}));
  EXPECT_FALSE(fs::exists(first->directory / "reserved"));
  first->lock.reset();
  EXPECT_TRUE((*cache)->make_room(*second, kSize));
}

TEST(DownloadCache, WhatNobodyFetchesAnyMoreMakesRoom) {
  const TempDirectory temp;
  const auto left = temp.path() / kStore / id('9');
  fs::create_directories(left);
  std::ofstream(left / "reserved") << (9 << 20);
  const auto cache = DownloadCache::open(temp.path(), 10 << 20, kStore);
  ASSERT_TRUE(cache);
  const auto entry = (*cache)->enter(id('a'), [] { return true; });
  ASSERT_TRUE(entry);
  EXPECT_TRUE((*cache)->make_room(*entry, 6 << 20));
  EXPECT_FALSE(fs::exists(left));
}

TEST(DownloadCache, DamageIsFound) {
  const TempDirectory temp;
  constexpr std::size_t kSize = 10'000;
  {
    const auto cache = DownloadCache::open(temp.path(), 1 << 20, kStore);
    const auto entry = fill(**cache, id('a'), kSize);
    EXPECT_TRUE((*cache)->check(entry, {}));
  }
  const auto cache = DownloadCache::open(temp.path(), 1 << 20, kStore);
  auto entry = (*cache)->enter(id('a'), [] { return true; });
  ASSERT_TRUE(entry->whole);
  auto content = pattern(kSize);
  content[99] ^= 4;
  std::ofstream(entry->directory / "files/a", std::ios::binary) << content;
  EXPECT_FALSE((*cache)->check(*entry, {}));
  (*cache)->set_aside(*entry);
  EXPECT_FALSE(has(**cache, id('a')));
}

TEST(DownloadCache, OneFillsAndOthersWait) {
  const TempDirectory temp;
  const auto cache = DownloadCache::open(temp.path(), 1 << 20, kStore);
  const auto first = (*cache)->enter(id('a'), [] { return true; });
  ASSERT_TRUE(first && !first->whole);
  int asked = 0;
  const auto second = (*cache)->enter(id('a'), [&] { return ++asked < 3; });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kCancelled);
}

// A directory of other things that is named for the cache by mistake.
TEST(DownloadCache, WhatIsNotItsOwnIsNeitherCountedNorRemoved) {
  const TempDirectory temp;
  const TempDirectory elsewhere;
  const auto root = temp.path();
  const auto put = [](const fs::path& file) {
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << pattern(300'000);
    return file;
  };
  std::vector<fs::path> others = {put(root / "photos/2019/a.jpg"),
                                  put(root / kStore / "notes/a.txt"),
                                  put(root / "photos" / id('1') / "files/a"),
                                  put(root / kStore / (id('2') + "x") / "files/a"),
                                  put(root / kStore / id('3') / "files/a"),
                                  put(root / kStore / id('3') / "thesis.txt"),
                                  put(elsewhere.path() / id('4') / "files/a"),
                                  put(elsewhere.path() / "store" / id('5') / "files/a")};
  fs::create_directory_symlink(elsewhere.path() / id('4'), root / kStore / id('4'));
  fs::create_directory_symlink(elsewhere.path() / "store", root / kOther);
  const auto own = put(root / kStore / id('6') / "files/a");
  const auto aside = put(root / kStore / (id('7') + ".12.old") / "files/a");
  const auto cache = DownloadCache::open(root, 400'000, kStore);
  ASSERT_TRUE(cache);
  const auto entry = (*cache)->enter(id('8'), [] { return true; });
  ASSERT_TRUE(entry);
  const auto room = (*cache)->make_room(*entry, 300'000);
  EXPECT_TRUE(room) << room.error().message;
  for (const auto& file : others) EXPECT_TRUE(fs::exists(file)) << file;
  EXPECT_FALSE(fs::exists(own));
  EXPECT_FALSE(fs::exists(aside));
}

// A model that runs has its weights in memory, and nobody holds its entry.
TEST(DownloadCache, WhatIsTouchedGoesLast) {
  const TempDirectory temp;
  constexpr std::size_t kSize = 100'000;
  const auto cache = DownloadCache::open(temp.path(), 3 * kSize + 20'000, kStore);
  ASSERT_TRUE(cache);
  for (const char each : {'1', '2', '3'}) (void)fill(**cache, id(each), kSize);
  const auto aged = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const char each : {'1', '2', '3'}) {
    fs::last_write_time(temp.path() / kStore / id(each) / "record.json",
                        aged + std::chrono::minutes(each));
  }
  (*cache)->touch(id('1'));
  (void)fill(**cache, id('4'), kSize);
  EXPECT_TRUE(has(**cache, id('1')));
  EXPECT_FALSE(has(**cache, id('2')));
}

// Made by a power cut, or by hand.
TEST(DownloadCache, ARecordThatDoesNotCoverTheFilesIsNone) {
  const TempDirectory temp;
  const Object a{"a", 1000, {}, {}, {}};
  const Object b{"b", 1000, {}, {}, {}};
  const Object unsafe{"a/b", 1000, {}, {}, {}};
  {
    const auto cache = DownloadCache::open(temp.path(), 1 << 20, kStore);
    (void)fill(**cache, id('a'), 1000);
  }
  const auto checked = [&](const std::vector<Object>& objects) {
    const auto cache = DownloadCache::open(temp.path(), 1 << 20, kStore);
    const auto entry = (*cache)->enter(id('a'), [] { return true; });
    return (*cache)->check(*entry, objects);
  };
  EXPECT_TRUE(checked({a, unsafe}));
  EXPECT_FALSE(checked({a, b}));
  std::ofstream(temp.path() / kStore / id('a') / "record.json") << "[]";
  EXPECT_FALSE(checked({a}));
}

TEST(DownloadCache, AFullDiskIsSaidWithWhatToDo) {
  const auto full = cache_failure(ENOSPC).error();
  EXPECT_EQ(full.reason, "disk_full");
  EXPECT_NE(full.message.find("No space left on device"), std::string::npos) << full.message;
  EXPECT_NE(full.message.find("--cache-dir"), std::string::npos) << full.message;
  const TempDirectory temp;
  fs::create_directories(temp.path() / "x");
  EXPECT_EQ(write_whole(temp.path() / "x", "text"), EISDIR) << "and no other number";
  EXPECT_EQ(write_whole("/dev/full/x", "text"), ENOTDIR);
}

}  // namespace
}  // namespace sluice::sources
