#include "sources/download_cache.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/digest.h"
#include "sources/testing/on_disk.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;
using testing::pattern;
using testing::TempDirectory;

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
  const auto cache = DownloadCache::open(temp.path(), 3 * kSize + 20'000, "store");
  ASSERT_TRUE(cache);
  auto used = fill(**cache, "first", kSize);
  (void)fill(**cache, "second", kSize);
  (void)fill(**cache, "third", kSize);
  const auto aged = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(temp.path() / "store/first/record.json", aged);
  fs::last_write_time(temp.path() / "store/second/record.json", aged + std::chrono::minutes(1));
  // Another process, as far as locks can tell.
  const auto other = DownloadCache::open(temp.path(), 3 * kSize + 20'000, "other");
  (void)fill(**other, "fourth", kSize);
  EXPECT_TRUE(has(**cache, "first")) << "the oldest, but in use";
  EXPECT_FALSE(has(**cache, "second")) << "the oldest that nobody uses";
  EXPECT_TRUE(has(**cache, "third"));
  const auto entry = (*other)->enter("fifth", [] { return true; });
  const auto room = (*other)->make_room(*entry, 4 * kSize);
  ASSERT_FALSE(room);
  EXPECT_EQ(room.error().reason, "no_room");
}

// What is being fetched has holes: how much is on the disk says nothing of what will be.
TEST(DownloadCache, RoomIsGivenAwayOnce) {
  const TempDirectory temp;
  constexpr std::size_t kSize = 6 << 20;
  const auto cache = DownloadCache::open(temp.path(), 10 << 20, "store");
  ASSERT_TRUE(cache);
  const auto wanted = [] { return true; };
  auto first = (*cache)->enter("first", wanted);
  const auto second = (*cache)->enter("second", wanted);
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
  const auto left = temp.path() / "store/left";
  fs::create_directories(left);
  std::ofstream(left / "reserved") << (9 << 20);
  const auto cache = DownloadCache::open(temp.path(), 10 << 20, "store");
  ASSERT_TRUE(cache);
  const auto entry = (*cache)->enter("a", [] { return true; });
  ASSERT_TRUE(entry);
  EXPECT_TRUE((*cache)->make_room(*entry, 6 << 20));
  EXPECT_FALSE(fs::exists(left));
}

TEST(DownloadCache, DamageIsFound) {
  const TempDirectory temp;
  constexpr std::size_t kSize = 10'000;
  {
    const auto cache = DownloadCache::open(temp.path(), 1 << 20, "store");
    const auto entry = fill(**cache, "a", kSize);
    EXPECT_TRUE((*cache)->check(entry));
  }
  const auto cache = DownloadCache::open(temp.path(), 1 << 20, "store");
  auto entry = (*cache)->enter("a", [] { return true; });
  ASSERT_TRUE(entry->whole);
  auto content = pattern(kSize);
  content[99] ^= 4;
  std::ofstream(entry->directory / "files/a", std::ios::binary) << content;
  EXPECT_FALSE((*cache)->check(*entry));
  (*cache)->set_aside(*entry);
  EXPECT_FALSE(has(**cache, "a"));
}

TEST(DownloadCache, OneFillsAndOthersWait) {
  const TempDirectory temp;
  const auto cache = DownloadCache::open(temp.path(), 1 << 20, "store");
  const auto first = (*cache)->enter("a", [] { return true; });
  ASSERT_TRUE(first && !first->whole);
  int asked = 0;
  const auto second = (*cache)->enter("a", [&] { return ++asked < 3; });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace sluice::sources
