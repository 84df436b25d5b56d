#include "features/feature_cache.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice::features {
namespace {

std::shared_ptr<const KeptRow> row_of(double value) {
  FeatureRow row;
  row.known = true;
  row.values.push_back({value, 1});
  return std::make_shared<const KeptRow>(std::move(row));
}

std::shared_ptr<const KeptRow> nobody() { return std::make_shared<const KeptRow>(FeatureRow()); }

// All in one shard.
RowKey key_of(std::uint64_t n) { return {64 * n, n}; }

TEST(FeatureCache, GivesWhatWasPutWithItsTime) {
  FeatureCache cache(1 << 20);
  const FeatureCache::TimePoint now{std::chrono::seconds(5)};
  EXPECT_EQ(cache.find(key_of(1), {}).row, nullptr);
  cache.put(key_of(1), row_of(1.5), now);
  const auto found = cache.find(key_of(1), {});
  ASSERT_NE(found.row, nullptr);
  EXPECT_EQ(std::get<double>(found.row->values[0].data), 1.5);
  EXPECT_EQ(found.fetched, now);
  cache.put(key_of(1), row_of(2.5), now + std::chrono::seconds(1));
  EXPECT_EQ(std::get<double>(cache.find(key_of(1), {}).row->values[0].data), 2.5);
  EXPECT_EQ(cache.entries(), 1U);
}

TEST(FeatureCache, ForgetsTheLeastRecentlyUsedAndKeepsItsBound) {
  constexpr std::size_t kBytes = 64 * 4096;
  FeatureCache cache(kBytes);
  for (std::uint64_t n = 0; n < 100; ++n) {
    const FeatureCache::TimePoint now{std::chrono::seconds(n)};
    cache.put(key_of(n), row_of(0), now);
    cache.find(key_of(0), now);
  }
  EXPECT_NE(cache.find(key_of(0), {}).row, nullptr);
  EXPECT_EQ(cache.find(key_of(1), {}).row, nullptr);
  EXPECT_NE(cache.find(key_of(99), {}).row, nullptr);
  EXPECT_LE(cache.bytes(), kBytes / 64);
}

TEST(FeatureCache, MadeUpNamesDoNotPushOutOthers) {
  FeatureCache cache(64 * 4096);
  cache.put(key_of(0), row_of(7), {});
  for (std::uint64_t n = 1; n < 10'000; ++n) cache.put(key_of(n), nobody(), {});
  EXPECT_NE(cache.find(key_of(0), {}).row, nullptr);
  EXPECT_LE(cache.bytes(), 4096U);
}

TEST(FeatureCache, AnEntityThatAppearsIsKnownFromThenOn) {
  FeatureCache cache(1 << 20);
  cache.put(key_of(1), nobody(), {});
  EXPECT_FALSE(cache.find(key_of(1), {}).row->known);
  cache.put(key_of(1), row_of(1), {});
  EXPECT_TRUE(cache.find(key_of(1), {}).row->known);
  EXPECT_EQ(cache.entries(), 1U);
}

TEST(FeatureCache, WithoutRoomNothingIsKept) {
  FeatureCache cache(0);
  cache.put(key_of(1), row_of(1), {});
  EXPECT_EQ(cache.find(key_of(1), {}).row, nullptr);
}

TEST(FeatureCache, ManyThreads) {
  FeatureCache cache(1 << 16);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (std::uint64_t i = 0; i < 5000; ++i) {
        const RowKey key{i * 7 + static_cast<std::uint64_t>(t), i % 97};
        if (cache.find(key, {}).row == nullptr) cache.put(key, row_of(1), {});
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(cache.bytes(), std::size_t{1} << 16);
}

}  // namespace
}  // namespace sluice::features
