// Downloads from a store in this process into a cache on the disk.

#include "sources/download.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>

#include "base/digest.h"
#include "sources/download_cache.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

class TempDirectory {
 public:
  TempDirectory() {
    std::string path = (fs::temp_directory_path() / "sluice-cache-XXXXXX").string();
    path_ = ::mkdtemp(path.data());
  }
  ~TempDirectory() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Objects in memory. `broken`: how many fetches end after half of what they should give; `lies`:
// and give other bytes.
class MemoryStore final : public ObjectStore {
 public:
  std::string_view name() const override { return "the store"; }
  Result<std::vector<Object>> list(const std::atomic<bool>&) override {
    return std::vector<Object>();
  }
  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>&) override {
    ++fetches;
    least_nice = std::min<int>(least_nice, ::getpriority(PRIO_PROCESS, 0));  // of this thread
    const auto& content = contents.at(object.key);
    const bool breaks = broken-- > 0;
    const auto length = breaks ? range.length / 2 : range.length;
    fetched += length;
    std::string part = content.substr(range.offset, length);
    if (fetches > changes_after) part[0] ^= 1;
    if (breaks && lies) std::ranges::fill(part, 'x');
    constexpr std::size_t kAtOnce = 300'000;  // as a network gives it
    for (std::size_t at = 0; at < part.size(); at += kAtOnce) {
      sink(std::as_bytes(std::span(part)).subspan(at, std::min(kAtOnce, part.size() - at)));
    }
    if (breaks) return unavailable("cut", "the connection was cut");
    return Fetched{etag_is_digest};
  }

  bool has_ranges() const override { return ranges; }
  Details details(const Object&, const std::atomic<bool>&) override {
    ++questions;
    return {0, checksum};
  }

  std::map<std::string, std::string> contents;
  bool ranges = true;
  bool etag_is_digest = true;
  std::optional<Checksum> checksum;
  std::atomic<int> questions{0};
  bool lies = false;
  int changes_after = 1'000'000;  // fetches
  std::atomic<int> broken{0};
  std::atomic<int> fetches{0};
  std::atomic<int> least_nice{99};
  std::atomic<std::uint64_t> fetched{0};
};

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<Object> all_of(const MemoryStore& store) {
  std::vector<Object> out;
  for (const auto& [key, content] : store.contents) {
    out.push_back({key, content.size(), {}, sha256_hex(std::string_view(content)), {}});
  }
  return out;
}

DownloadPlan plan_for(const MemoryStore& store, const fs::path& directory) {
  DownloadPlan plan;
  plan.title = "test";
  plan.directory = directory / "part";
  plan.notes = directory / "pieces";
  fs::create_directories(plan.directory);
  plan.objects = all_of(store);
  plan.piece = 1000;
  return plan;
}

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * i % 251);
  return out;
}

TEST(Download, LetsThoseThatAnswerGoFirst) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"m/v1/model.onnx", pattern(10'500)}};
  Download download(store, plan_for(store, temp.path()), [] { return true; });
  const int own = ::getpriority(PRIO_PROCESS, 0);
  ASSERT_TRUE(download.run());
  EXPECT_EQ(store.least_nice, std::min(own + 10, 19));
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), own) << "the thread that loads is as it was";
}

TEST(Download, PiecesAndCuts) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"m/v1/model.onnx", pattern(10'500)},
                    {"m/v1/labels", "a"},
                    {"m/v1/none", ""},
                    {"m/v1/x//y", "b"}};
  store.broken = 3;
  Download download(store, plan_for(store, temp.path()), [] { return true; });
  const auto done = download.run();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->size(), 3U) << "what cannot be a file is left out";
  EXPECT_EQ(text_of(temp.path() / "part/m/v1/model.onnx"), pattern(10'500));
  EXPECT_EQ(store.fetched, 10'501U) << "what came before a cut is kept";
}

// The digest follows what arrives within a piece: it must be of what is in the file in the end.
TEST(Download, TheDigestFollowsWhatArrives) {
  for (const bool ranges : {true, false}) {
    const TempDirectory temp;
    MemoryStore store;
    store.ranges = ranges;
    store.contents = {{"a", pattern(7 << 20)}};
    auto plan = plan_for(store, temp.path());
    plan.piece = 6 << 20;
    store.broken = 3;
    store.lies = !ranges;  // what comes before a cut is fetched anew, so that it may be anything
    Download download(store, std::move(plan), [] { return true; });
    const auto done = download.run();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(text_of(temp.path() / "part/a"), pattern(7 << 20));
    EXPECT_GT(store.fetches, 3);
  }
}

TEST(Download, GoesOnWhereAnotherEnded) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"a", pattern(10'000)}};
  {
    Download first(store, plan_for(store, temp.path()), [&] { return true; });
    ASSERT_TRUE(first.run());
  }
  // As if the process had ended before the last three pieces.
  const auto notes = text_of(temp.path() / "pieces");
  std::ofstream(temp.path() / "pieces") << notes.substr(0, notes.find("0 7000"));
  store.fetches = 0;
  Download again(store, plan_for(store, temp.path()), [] { return true; });
  ASSERT_TRUE(again.run());
  EXPECT_LT(store.fetches, 10);
  EXPECT_GE(store.fetches, 1);
}

// Pieces are larger than what a cut should cost.
TEST(Download, GoesOnWithinAPiece) {
  for (const bool ranges : {true, false}) {
    const TempDirectory temp;
    constexpr std::size_t kSize = 7 << 20;
    MemoryStore store;
    store.ranges = ranges;
    store.contents = {{"a", pattern(kSize)}};
    auto plan = plan_for(store, temp.path());
    plan.piece = 16 << 20;
    store.broken = 1'000'000;  // half of what is left, and half of that, ...
    Download first(store, plan, [&] { return store.fetched < kSize * 3 / 4; });
    ASSERT_FALSE(first.run());
    store.broken = 0;
    store.fetched = 0;
    Download again(store, plan, [] { return true; });
    const auto done = again.run();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(text_of(temp.path() / "part/a"), pattern(kSize));
    EXPECT_EQ(again.received(), kSize);
    if (ranges) {
      EXPECT_LE(store.fetched, kSize / 2);
    } else {
      EXPECT_EQ(store.fetched, kSize);
    }
  }
}

// Encrypted with the store's own keys: nothing but its answers says that the ETag is no MD5.
TEST(Download, WhatAnETagIsWorthIsKnownWhenItGoesOn) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"a", pattern(5000)}};
  store.etag_is_digest = false;
  auto plan = plan_for(store, temp.path());
  plan.objects[0].sha256.clear();
  plan.objects[0].etag = '"' + std::string(32, '0') + '"';
  for (int run = 0; run < 2; ++run) {
    Download download(store, plan, [] { return true; });
    const auto done = download.run();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(download.received(), 5000U);
  }
  EXPECT_EQ(store.fetches, 5);
}

// Of what is encrypted with a key of the store's own the ETag says nothing, which is known once it
// has come.
TEST(Download, AChecksumWhereTheETagSaysNothing) {
  MemoryStore store;
  store.contents["a"] = "123456789";
  store.etag_is_digest = false;
  const auto download = [&] {
    const TempDirectory place;
    auto plan = plan_for(store, place.path());
    plan.objects[0].sha256.clear();
    plan.objects[0].etag = "\"00000000000000000000000000000000\"";
    return Download(store, std::move(plan), [] { return true; }).run();
  };
  store.checksum = Checksum{Digest::Kind::kCrc32, "cbf43926"};
  const auto right = download();
  ASSERT_TRUE(right);
  EXPECT_EQ((*right)[0].digest, "crc32:cbf43926");
  store.checksum = Checksum{Digest::Kind::kCrc32, "cbf43927"};
  const auto wrong = download();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().reason, "damaged");
  EXPECT_EQ(store.questions, 2);
}

TEST(Download, WrongContentIsNotBelieved) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"a", pattern(5000)}};
  auto plan = plan_for(store, temp.path());
  store.contents["a"][1234] ^= 1;
  Download download(store, std::move(plan), [] { return true; });
  const auto done = download.run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "damaged");
  EXPECT_EQ(done.error().code, Code::kUnavailable);
  for (const auto& content : {pattern(5000), store.contents["a"]}) {
    EXPECT_NE(done.error().message.find(sha256_hex(std::string_view(content))), std::string::npos);
  }
}

// An ETag that fits no size of parts proves nothing; what comes twice the same is believed.
TEST(Download, WhatNoSizeOfPartsFitsIsFetchedOnceMore) {
  for (const bool lies : {false, true}) {
    const TempDirectory temp;
    MemoryStore store;
    store.contents = {{"a", pattern(5000)}};
    auto plan = plan_for(store, temp.path());
    plan.objects[0].sha256.clear();
    plan.objects[0].etag = '"' + std::string(32, '0') + "-3\"";
    store.changes_after = lies ? 7 : 1'000;
    EXPECT_EQ(Download(store, std::move(plan), [] { return true; }).run().has_value(), !lies);
    EXPECT_EQ(store.fetches, lies ? 8 : 10) << "it ends where it differs";
  }
}

TEST(Download, EndsWhenNobodyWantsIt) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"a", pattern(5000)}};
  store.broken = 1'000'000;
  Download download(store, plan_for(store, temp.path()), [] { return false; });
  const auto done = download.run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCancelled);
}

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
