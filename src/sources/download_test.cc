// Downloads from a store in this process.

#include "sources/download.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/digest.h"
#include "sources/testing/on_disk.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;
using testing::pattern;
using testing::TempDirectory;

// Objects in memory. `broken`: how many fetches end after half of what they should give; `lies`:
// and give other bytes.
class MemoryStore final : public ObjectStore {
 public:
  std::string_view name() const override { return "the store"; }
  Result<std::vector<Object>> list(const std::atomic<bool>&) override {
    return std::vector<Object>();
  }
  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>& stop) override {
    const int nth = ++times[object.key == "a" ? 0 : 1];
    if (object.key == refused) return refuse();
    // Broken off by that, and not before.
    if (!refused.empty() && nth > refused_after) return wait_for(stop);
    // As libcurl does.
    if (stop) return fail(Code::kCancelled, "stopped", "it was broken off");
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
    if (surplus) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      return unavailable("changing", "there is more of it");
    }
    return Fetched{etag_is_digest};
  }

  // Once "a" has been asked for more often than `refused_after`.
  Result<Fetched> refuse() const {
    for (int i = 0; i < 5000 && times[0] <= refused_after; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return fail(Code::kPermissionDenied, "refused", "not this one");
  }
  static Result<Fetched> wait_for(const std::atomic<bool>& stop) {
    for (int i = 0; i < 5000 && !stop; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return fail(Code::kCancelled, "stopped", "it was broken off");
  }

  bool has_ranges() const override { return ranges; }
  Details details(const Object&, const std::atomic<bool>& stop) override {
    ++questions;
    if (hangs) (void)wait_for(stop);
    return {0, checksum};
  }

  std::map<std::string, std::string> contents;
  bool ranges = true;
  bool etag_is_digest = true;
  std::optional<Checksum> checksum;
  std::atomic<int> questions{0};
  bool lies = false;
  int changes_after = 1'000'000;  // fetches
  std::string refused;            // a key
  int refused_after = 0;          // fetches of "a"
  std::atomic<int> times[2] = {0, 0};
  bool hangs = false;    // when it is asked for details
  bool surplus = false;  // fails after the last byte
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

// The one that is fetched once more is only stopped then, and nobody wanted it to be.
TEST(Download, WhatAnotherFileFailedOfIsSaidNotThatItWasStopped) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"a", pattern(5000)}, {"b", pattern(2000)}};
  auto plan = plan_for(store, temp.path());
  plan.objects[0].sha256.clear();
  plan.objects[0].etag = '"' + std::string(32, '0') + "-3\"";
  store.refused = "b";
  store.refused_after = 5;  // its pieces
  const auto done = Download(store, std::move(plan), [] { return true; }).run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "refused") << done.error().message;
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

// A store that hangs when it is asked for more than a file's bytes.
TEST(Download, EndsWhateverItWaitsFor) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"a", pattern(5000)}};
  store.hangs = true;
  auto plan = plan_for(store, temp.path());
  plan.objects[0].sha256.clear();
  plan.objects[0].etag = '"' + std::string(32, '0') + "-3\"";
  const auto began = std::chrono::steady_clock::now();
  const auto wanted = [&] { return store.questions == 0; };
  const auto done = Download(store, std::move(plan), wanted).run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCancelled) << done.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST(Download, OneThatFailsAfterItsLastByteHasFailed) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"a", pattern(4 << 20)}};
  store.surplus = true;
  auto plan = plan_for(store, temp.path());
  plan.piece = 4 << 20;
  const auto done = Download(store, std::move(plan), [] { return true; }).run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "changing") << done.error().message;
}

TEST(Download, WhatFailedIsSaidByItsName) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"m/labels.txt", "a"}};
  store.refused = "m/labels.txt";
  store.refused_after = -1;
  const auto done = Download(store, plan_for(store, temp.path()), [] { return true; }).run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "'labels.txt': not this one");
}

// Stores have both; a disk has one of them.
TEST(Download, WhatCannotBeFilesTogetherIsLeftOut) {
  const TempDirectory temp;
  MemoryStore store;
  store.contents = {{"m/sub", "file"}, {"m/sub/x", "below"}, {"m/marked", ""}, {"m/marked/y", "y"}};
  const auto done = Download(store, plan_for(store, temp.path()), [] { return true; }).run();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->size(), 2U);
  EXPECT_EQ(text_of(temp.path() / "part/m/sub"), "file");
  EXPECT_EQ(text_of(temp.path() / "part/m/marked/y"), "y");
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

}  // namespace
}  // namespace sluice::sources
