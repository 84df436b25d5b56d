#include "serving/response_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace sluice::serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using AnswerPtr = std::shared_ptr<const CachedAnswer>;

constexpr std::size_t kMuch = std::size_t{1} << 40;
constexpr auto kForEver = milliseconds::max();
constexpr TimePoint kNow{nanoseconds(1'000'000'000)};

// What the pipeline gives as a key: spread evenly.
CacheKey key_of(std::uint64_t i) {
  const auto mix = [](std::uint64_t x) {  // splitmix64's
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  };
  return {mix(2 * i + 1), mix(2 * i + 2)};
}

// An answer with one number, and so many more for its size.
AnswerPtr answer_of(std::int64_t value, std::size_t more = 0) {
  std::vector<std::int64_t> numbers(1 + more, value);
  TensorView view;
  view.dtype = DType::kInt64;
  view.shape = {static_cast<std::int64_t>(numbers.size())};
  view.data = std::as_bytes(std::span(numbers));
  return CachedAnswer::copy_of({&view, 1});
}

std::int64_t value_of(const CachedAnswer& answer) {
  return answer.outputs()[0].as<std::int64_t>()[0];
}

TEST(CachedAnswer, OwnsWhatItCopies) {
  std::vector<float> floats(33);
  std::iota(floats.begin(), floats.end(), 0.5F);
  std::vector<std::string> texts = {"benign", "", std::string(1000, 'x')};
  std::vector<std::string_view> strings(texts.begin(), texts.end());
  const std::uint8_t flag = 7;
  std::array<TensorView, 4> outputs;
  outputs[0].shape = {3, 11};
  outputs[0].data = std::as_bytes(std::span(floats));
  outputs[1].dtype = DType::kString;
  outputs[1].shape = {3};
  outputs[1].strings = strings;
  outputs[2].dtype = DType::kUint8;
  outputs[2].data = std::as_bytes(std::span(&flag, 1));
  outputs[3].shape = {0, 4};

  const auto answer = CachedAnswer::copy_of(outputs);
  std::ranges::fill(floats, -1.0F);
  for (auto& text : texts) std::ranges::fill(text, '?');
  std::ranges::fill(strings, "gone");
  std::ranges::fill(outputs, TensorView{});

  const auto copies = answer->outputs();
  ASSERT_EQ(copies.size(), 4U);
  EXPECT_EQ(copies[0].dtype, DType::kFloat32);
  EXPECT_EQ(copies[0].shape, (Shape{3, 11}));
  ASSERT_EQ(copies[0].elements(), 33U);
  for (std::size_t i = 0; i < 33; ++i) EXPECT_EQ(copies[0].as<float>()[i], 0.5F + i);
  EXPECT_EQ(copies[1].dtype, DType::kString);
  ASSERT_EQ(copies[1].elements(), 3U);
  EXPECT_EQ(copies[1].strings[0], "benign");
  EXPECT_EQ(copies[1].strings[1], "");
  EXPECT_EQ(copies[1].strings[2], std::string(1000, 'x'));
  EXPECT_EQ(copies[2].shape.rank(), 0U);
  ASSERT_EQ(copies[2].data.size(), 1U);
  EXPECT_EQ(copies[2].as<std::uint8_t>()[0], 7);
  EXPECT_EQ(copies[3].shape, (Shape{0, 4}));
  EXPECT_EQ(copies[3].elements(), 0U);
  for (const auto& copy : copies) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(copy.data.data()) % 64, 0U);
  }
}

TEST(CachedAnswer, BytesCountEverything) {
  const auto none = CachedAnswer::copy_of({});
  EXPECT_TRUE(none->outputs().empty());
  EXPECT_GE(none->bytes(), sizeof(CachedAnswer));
  EXPECT_LT(none->bytes(), 512U);
  EXPECT_GE(answer_of(1)->bytes(), none->bytes() + sizeof(TensorView) + 8);
  EXPECT_GE(answer_of(1, 1000)->bytes(), answer_of(1)->bytes() + 7900);
  EXPECT_LE(answer_of(1, 1000)->bytes(), answer_of(1)->bytes() + 8100);
  TensorView text;
  text.dtype = DType::kString;
  const std::vector<std::string_view> strings(100, "0123456789");
  text.strings = strings;
  EXPECT_GE(CachedAnswer::copy_of({&text, 1})->bytes(),
            none->bytes() + sizeof(TensorView) + 100 * (sizeof(std::string_view) + 10));
}

TEST(ResponseCache, FindsUntilItExpires) {
  ResponseCache cache(10, kMuch, milliseconds(50));
  const auto answer = answer_of(1);
  EXPECT_EQ(cache.find(key_of(1), kNow), nullptr);
  cache.put(key_of(1), answer, kNow);
  EXPECT_EQ(cache.find(key_of(1), kNow), answer);
  EXPECT_EQ(cache.find(key_of(2), kNow), nullptr);
  EXPECT_EQ(cache.find(key_of(1), kNow + milliseconds(50) - nanoseconds(1)), answer);
  EXPECT_EQ(cache.entries(), 1U);
  EXPECT_EQ(cache.bytes(), answer->bytes());
  EXPECT_EQ(cache.find(key_of(1), kNow + milliseconds(50)), nullptr);
  EXPECT_EQ(cache.entries(), 0U);
  EXPECT_EQ(cache.bytes(), 0U);
  EXPECT_EQ(answer.use_count(), 1);
  EXPECT_EQ(cache.find(key_of(1), kNow), nullptr) << "it was removed, not only hidden";
}

TEST(ResponseCache, BothHalvesOfTheKeyCount) {
  ResponseCache cache(10, kMuch, kForEver);
  cache.put({1, 2}, answer_of(12), kNow);
  EXPECT_EQ(cache.find({2, 2}, kNow), nullptr);
  EXPECT_EQ(cache.find({1, 3}, kNow), nullptr);
  EXPECT_EQ(cache.find({1, 2 + (std::uint64_t{1} << 40)}, kNow), nullptr);
  EXPECT_EQ(value_of(*cache.find({1, 2}, kNow)), 12);
}

TEST(ResponseCache, TimesToLiveAtTheEnds) {
  for (const auto never : {milliseconds(0), milliseconds(-1), milliseconds::min()}) {
    ResponseCache cache(10, kMuch, never);
    cache.put(key_of(1), answer_of(1), kNow);
    EXPECT_EQ(cache.find(key_of(1), kNow), nullptr);
  }
  ResponseCache cache(10, kMuch, kForEver);
  cache.put(key_of(1), answer_of(1), kNow);
  EXPECT_NE(cache.find(key_of(1), TimePoint::max() - nanoseconds(1)), nullptr);
}

TEST(ResponseCache, AnotherAnswerReplacesTheFirstAndLivesItsOwnTime) {
  ResponseCache cache(10, kMuch, milliseconds(10));
  cache.put(key_of(1), answer_of(1, 100), kNow);
  const auto next = answer_of(2);
  cache.put(key_of(1), next, kNow + milliseconds(8));
  EXPECT_EQ(cache.entries(), 1U);
  EXPECT_EQ(cache.bytes(), next->bytes());
  EXPECT_EQ(cache.find(key_of(1), kNow + milliseconds(17)), next);
  EXPECT_EQ(cache.evictions(), 0U);
}

TEST(ResponseCache, KeepsExactlyItsCapacity) {
  for (const std::size_t capacity : {0, 1, 2, 3, 7, 20, 21, 1000, 2047, 2048, 2051, 5000}) {
    ResponseCache cache(capacity, kMuch, kForEver);
    const auto answer = answer_of(1);
    for (std::uint64_t i = 0; i < 3 * capacity + 10; ++i) {
      cache.put(key_of(i), answer, kNow);
      if (i % 3 == 0) static_cast<void>(cache.find(key_of(i / 2), kNow));
      if (i < 100) {
        ASSERT_LE(cache.entries(), capacity);
        ASSERT_EQ(cache.find(key_of(i), kNow) != nullptr, capacity > 0) << "what was just put";
      }
    }
    EXPECT_EQ(cache.entries(), capacity);
    EXPECT_EQ(cache.bytes(), capacity * answer->bytes());
  }
}

TEST(ResponseCache, HoldsAllThatFit) {
  for (const std::size_t capacity : {1, 2, 100, 2047}) {
    ResponseCache cache(capacity, kMuch, kForEver);
    const auto answer = answer_of(1);
    for (std::uint64_t i = 0; i < capacity; ++i) cache.put(key_of(i), answer, kNow);
    for (std::uint64_t i = 0; i < capacity; ++i) EXPECT_NE(cache.find(key_of(i), kNow), nullptr);
  }
}

TEST(ResponseCache, WhatIsLargerThanItsShareIsNotKept) {
  const auto small = answer_of(1);
  const auto large = answer_of(2, 1000);
  ResponseCache exact(10, large->bytes(), kForEver);
  exact.put(key_of(1), large, kNow);
  EXPECT_EQ(exact.find(key_of(1), kNow), large);
  exact.put(key_of(2), small, kNow);
  EXPECT_EQ(exact.find(key_of(1), kNow), nullptr);
  EXPECT_EQ(exact.bytes(), small->bytes());

  ResponseCache cache(10, large->bytes() - 1, kForEver);
  cache.put(key_of(1), small, kNow);
  cache.put(key_of(2), large, kNow);
  EXPECT_EQ(cache.find(key_of(2), kNow), nullptr);
  EXPECT_EQ(cache.find(key_of(1), kNow), small) << "nothing made room for what is not kept";
  cache.put(key_of(1), large, kNow);
  EXPECT_EQ(cache.find(key_of(1), kNow), nullptr) << "the old answer is not the answer any more";
  EXPECT_EQ(cache.bytes(), 0U);
}

// The order of S3-FIFO, step by step.
TEST(ResponseCache, SparesWhatWasUsedAndWhatComesBack) {
  ResponseCache cache(4, kMuch, kForEver);
  const auto answer = answer_of(1);
  const auto put = [&](std::uint64_t i) { cache.put(key_of(i), answer, kNow); };
  for (const std::uint64_t i : {1, 2, 3, 4}) put(i);
  static_cast<void>(cache.find(key_of(1), kNow));
  put(5);  // 1 was used and moves on; 2 goes
  put(6);  // 3 goes
  put(2);  // 4 goes; 2 comes back, into the main queue
  for (std::uint64_t i = 100; i < 1000; ++i) put(i);
  EXPECT_NE(cache.find(key_of(1), kNow), nullptr);
  EXPECT_NE(cache.find(key_of(2), kNow), nullptr);
  for (const std::uint64_t i : {3, 4, 5, 6, 100, 997}) {
    EXPECT_EQ(cache.find(key_of(i), kNow), nullptr) << i;
  }
  EXPECT_NE(cache.find(key_of(999), kNow), nullptr);
  put(100);  // it left too long ago to be remembered
  put(1000);
  EXPECT_EQ(cache.find(key_of(100), kNow), nullptr);
}

TEST(ResponseCache, WhatExpiredMakesRoomFirst) {
  ResponseCache cache(4, kMuch, milliseconds(10));
  const auto answer = answer_of(1);
  for (const std::uint64_t i : {1, 2, 3, 4}) {
    cache.put(key_of(i), answer, kNow);
    static_cast<void>(cache.find(key_of(i), kNow));
  }
  cache.put(key_of(5), answer, kNow);  // all the others move to the main queue; one of them goes
  const auto evictions = cache.evictions();
  EXPECT_EQ(evictions, 1U);
  for (const std::uint64_t i : {6, 7, 8}) cache.put(key_of(i), answer, kNow + milliseconds(10));
  for (const std::uint64_t i : {6, 7, 8}) {
    EXPECT_NE(cache.find(key_of(i), kNow + milliseconds(10)), nullptr) << i;
  }
  EXPECT_EQ(cache.evictions(), evictions) << "an expired entry is no eviction";
}

// Half of what is put is never asked for: LRU would hit about every second time.
TEST(ResponseCache, PopularAnswersSurviveScans) {
  ResponseCache cache(1000, kMuch, kForEver);
  const auto answer = answer_of(1);
  std::mt19937_64 random(1);
  std::size_t hits = 0;
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    const auto key = key_of(random() % 900);
    if (cache.find(key, kNow) != nullptr) {
      ++hits;
    } else {
      cache.put(key, answer, kNow);
    }
    cache.put(key_of(1'000'000 + i), answer, kNow);
  }
  EXPECT_GT(hits, 190'000U);
}

// --- against a map that forgets nothing --------------------------------------------------------

struct Limits {
  std::size_t capacity;
  std::size_t max_bytes;
  std::uint64_t keys;
  std::size_t most_numbers;
};

class Model {
 public:
  explicit Model(const Limits& limits)
      : limits_(limits), cache_(limits.capacity, limits.max_bytes, kTtl) {}

  void step(std::mt19937_64& random) {
    const auto i = random() % limits_.keys;
    if (random() % 3 == 0) {
      const auto answer = answer_of(static_cast<std::int64_t>(i), random() % limits_.most_numbers);
      cache_.put(key_of(i), answer, now_);
      put_[i] = {answer, now_ + kTtl};
    } else {
      check(i);
    }
    ASSERT_LE(cache_.entries(), limits_.capacity);
    ASSERT_LE(cache_.bytes(), limits_.max_bytes);
    if (random() % 8 == 0) now_ += milliseconds(random() % 4);
  }

  // Looks for everything: what is found is all that is there.
  void sweep() {
    std::size_t entries = 0;
    std::size_t bytes = 0;
    std::size_t missing = 0;
    for (std::uint64_t i = 0; i < limits_.keys; ++i) {
      const auto put = put_.find(i);
      const bool alive = put != put_.end() && put->second.expires > now_ &&
                         put->second.answer->bytes() <= limits_.max_bytes;
      const auto found = check(i);
      missing += alive && found == nullptr ? 1 : 0;
      entries += found != nullptr ? 1 : 0;
      bytes += found != nullptr ? found->bytes() : 0;
    }
    ASSERT_EQ(cache_.entries(), entries);
    ASSERT_EQ(cache_.bytes(), bytes);
    ASSERT_LE(missing, cache_.evictions());
    found_ += entries;
  }

  std::size_t found() const { return found_; }
  std::uint64_t evictions() const { return cache_.evictions(); }

 private:
  static constexpr milliseconds kTtl{200};
  struct Put {
    AnswerPtr answer;
    TimePoint expires;
  };

  AnswerPtr check(std::uint64_t i) {
    auto found = cache_.find(key_of(i), now_);
    if (found == nullptr) return nullptr;
    const auto put = put_.find(i);
    EXPECT_TRUE(put != put_.end() && put->second.answer == found) << "not the last answer";
    EXPECT_LT(now_, put->second.expires) << "expired";
    EXPECT_EQ(value_of(*found), static_cast<std::int64_t>(i));
    return found;
  }

  Limits limits_;
  ResponseCache cache_;
  std::map<std::uint64_t, Put> put_;
  TimePoint now_ = kNow;
  std::size_t found_ = 0;
};

TEST(ResponseCache, AgreesWithAMap) {
  const std::size_t one = answer_of(0)->bytes();
  const std::array<Limits, 6> all = {{{1, kMuch, 5, 1},
                                      {10, kMuch, 30, 3},
                                      {100, 20 * one, 60, 100},
                                      {40, 40 * one, 60, 4},
                                      {500, 3 * one, 20, 60},
                                      {1000, kMuch, 100, 10}}};
  for (std::uint64_t seed = 0; seed < all.size() * 3; ++seed) {
    const Limits& limits = all[seed % all.size()];
    Model model(limits);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 5000 && !testing::Test::HasFailure(); ++i) {
      model.step(random);
      if (i % 100 == 99) model.sweep();
    }
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    EXPECT_GT(model.found(), 0U);
    // With room for all, nothing may be missing.
    EXPECT_EQ(model.evictions() == 0, limits.capacity > limits.keys && limits.max_bytes == kMuch);
  }
}

TEST(ResponseCache, ManyThreads) {
  constexpr std::size_t kCapacity = 4096;                // four shards
  constexpr std::size_t kBytes = std::size_t{16} << 20;  // short for the larger answers
  constexpr std::uint64_t kKeys = 10'000;
  ResponseCache cache(kCapacity, kBytes, milliseconds(5));
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<std::uint64_t> hits = 0;
  std::jthread watcher([&] {
    while (!stop) {
      if (cache.entries() > kCapacity || cache.bytes() > kBytes) ++wrong;
      std::this_thread::yield();
    }
  });
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937_64 random(seed);
        for (int step = 0; step < 20'000; ++step) {
          const auto i = std::min(random() % kKeys, random() % kKeys);
          const auto now = kNow + nanoseconds(step * 1000);
          if (const auto found = cache.find(key_of(i), now)) {
            ++hits;
            if (value_of(*found) != static_cast<std::int64_t>(i)) ++wrong;
          } else {
            cache.put(key_of(i), answer_of(static_cast<std::int64_t>(i), random() % 2000), now);
          }
        }
      });
    }
  }
  stop = true;
  watcher.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(hits, 0U);
  EXPECT_GT(cache.evictions(), 0U);
  EXPECT_LE(cache.entries(), kCapacity);
  EXPECT_LE(cache.bytes(), kBytes);
}

}  // namespace
}  // namespace sluice::serving
