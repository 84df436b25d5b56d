#include "features/redis.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "clients/testing/fake_redis.h"
#include "features/builtin.h"
#include "features/testing/read_rows.h"

namespace sluice::features {
namespace {

using clients::RealRedis;
using Rows = std::vector<std::string>;

std::string key_of(std::string_view text, const std::vector<EntityKey>& keys,
                   const std::vector<std::string_view>& values) {
  const auto made = KeyTemplate::parse(text, keys);
  if (!made) return std::string(made.error().reason);
  std::string out = "overwritten";
  made->write(values, out);
  return out;
}

const std::vector<EntityKey> kUser = {{"user_id"}};
const std::vector<EntityKey> kPair = {{"user_id"}, {"shop"}};

TEST(KeyTemplate, PutsValuesIn) {
  EXPECT_EQ(key_of("user:{user_id}", kUser, {"42"}), "user:42");
  EXPECT_EQ(key_of("{shop}/{user_id}/f", kPair, {"42", "a:b"}), "a:b/42/f");
  EXPECT_EQ(key_of("{{{user_id}}}:f", kUser, {"42"}), "{42}:f");
  EXPECT_EQ(key_of("{user_id}{user_id}", kUser, {"4"}), "44");
}

TEST(KeyTemplate, WithoutOneNoTwoEntitiesShareAName) {
  EXPECT_EQ(key_of("", kUser, {"a:b\\"}), "a:b\\");
  EXPECT_EQ(key_of("", kPair, {"a", "b"}), "a:b");
  EXPECT_EQ(key_of("", kPair, {"a:b", "c"}), "a\\:b:c");
  EXPECT_EQ(key_of("", kPair, {"a", "b:c"}), "a:b\\:c");
  EXPECT_EQ(key_of("", kPair, {"a\\", "b"}), "a\\\\:b");
}

TEST(KeyTemplate, NamesEveryKeyAndNoOther) {
  for (const auto* bad : {"user", "user:{id}", "user:{user_id", "{", "{}", "{{user_id}}"}) {
    EXPECT_EQ(key_of(bad, kUser, {"1"}), "bad_config") << bad;
  }
  EXPECT_EQ(key_of("user:{user_id}", kPair, {"1", "2"}), "bad_config");
}

TEST(RedisStoreUrl, IsCheckedWithoutConnecting) {
  StoreOptions options;
  options.url = "redis://127.0.0.1:1/x";
  EXPECT_EQ(open_store(options).error().reason, "bad_store_url");
  for (const auto* good : {"rediss://127.0.0.1:1?cacert=file", "redis+sentinel://127.0.0.1:1/m"}) {
    options.url = good;
    EXPECT_TRUE(open_store(options)) << good;
  }
  options.url = "redis+sentinel://127.0.0.1:1";
  EXPECT_EQ(open_store(options).error().reason, "bad_store_url") << "of which primary";
  options.url = "redis://127.0.0.1:1";
  options.key = "user:{nobody}";
  const auto store = open_store(options);
  ASSERT_TRUE(store) << "nothing is connected to yet";
  EXPECT_EQ((*store)->reader({kUser, {{"a"}}}).error().reason, "bad_config");
}

class RedisStore : public testing::Test {
 protected:
  void SetUp() override {
    redis_ = RealRedis::start();
    if (!redis_) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
    options_.url = redis_->url();
  }
  std::unique_ptr<const FeatureReader> reader(FeatureLookup lookup) const {
    auto store = open_store(options_);
    if (!store) throw std::runtime_error(store.error().message);
    auto made = (*store)->reader(lookup);
    if (!made) throw std::runtime_error(made.error().message);
    return *std::move(made);
  }

  std::unique_ptr<RealRedis> redis_;
  StoreOptions options_;
};

TEST_F(RedisStore, TextsAreReadAsWhatIsWanted) {
  redis_->run({"HSET", "u1", "n", "7", "x", "0.5", "b", "true", "t", "DE", "when", "1970-01-02",
               "e", "", "bad", "x y"});
  const auto made = reader({kUser,
                            {{"n", FeatureType::kNumber},
                             {"x", FeatureType::kNumber},
                             {"b", FeatureType::kBoolean},
                             {"t", FeatureType::kAny},
                             {"when", FeatureType::kTime},
                             {"e", FeatureType::kNumber},
                             {"e", FeatureType::kText},
                             {"bad", FeatureType::kNumber},
                             {"none", FeatureType::kNumber}}});
  EXPECT_EQ(read_rows(*made, {{"u1"}}),
            (Rows{"i7 d0.5 bT tDE i86400 null t !is not a number absent"}));
}

TEST_F(RedisStore, ManyEntitiesAndSomeThatNobodyKnows) {
  options_.key = "user:{user_id}";
  std::vector<std::vector<std::string>> entities;
  Rows wanted;
  for (int i = 0; i < 1024; ++i) {
    const auto number = std::to_string(i);
    if (i % 3 == 0) redis_->run({"HSET", "user:" + number, "n", number});
    // A hash that has none of these features.
    if (i % 3 == 1) redis_->run({"HSET", "user:" + number, "other", number});
    entities.push_back({number});
    wanted.push_back(i % 3 == 0 ? "i" + number + " absent" : "unknown");
  }
  const auto made = reader({kUser, {{"n", FeatureType::kNumber}, {"m", FeatureType::kNumber}}});
  EXPECT_EQ(read_rows(*made, entities), wanted);
  EXPECT_EQ(read_rows(*made, {}), Rows{});
}

TEST_F(RedisStore, TheTimeOfAllIsInAField) {
  options_.time_field = "updated";
  redis_->run({"HSET", "u1", "n", "7", "updated", "1970-01-01T00:01:00Z"});
  redis_->run({"HSET", "u2", "n", "7", "updated", "soon"});
  redis_->run({"HSET", "u3", "n", "7"});
  redis_->run({"HSET", "u4", "updated", "60"});
  const auto made = reader({kUser, {{"n", FeatureType::kNumber}, {"updated"}}});
  EXPECT_EQ(read_rows(*made, {{"u1"}, {"u2"}, {"u3"}}),
            (Rows{"i7@d60. t1970-01-01T00:01:00Z@d60.", "i7 tsoon", "i7 absent"}));
  const auto one = reader({kUser, {{"n", FeatureType::kNumber}}});
  EXPECT_EQ(read_rows(*one, {{"u1"}, {"u4"}}), (Rows{"i7@d60.", "unknown"}));
}

TEST_F(RedisStore, KeysAndValuesOfAnyBytes) {
  const std::string odd("a\0\r\n:\\\xff", 7);
  redis_->run({"HSET", odd, "t", odd});
  redis_->run({"HSET", "a\\:b:c", "t", "one"});
  redis_->run({"HSET", "a:b\\:c", "t", "another"});
  EXPECT_EQ(read_rows(*reader({kUser, {{"t"}}}), {{odd}}), Rows{"t" + odd});
  EXPECT_EQ(read_rows(*reader({kPair, {{"t"}}}), {{"a:b", "c"}, {"a", "b:c"}}),
            (Rows{"tone", "tanother"}));
}

TEST_F(RedisStore, AKeyThatIsNoHashIsThatEntitysFaultAlone) {
  redis_->run({"SET", "u1", "x"});
  redis_->run({"HSET", "u2", "a", "1"});
  const auto made = reader({kUser, {{"a"}, {"b"}}});
  EXPECT_EQ(read_rows(*made, {{"u1"}, {"u2"}}),
            (Rows{"!is not kept in a hash !is not kept in a hash", "t1 absent"}));
}

TEST_F(RedisStore, AllOfOneEntity) {
  options_.time_field = "at";
  redis_->run({"HSET", "u1", "a", "1", "at", "60", "b", ""});
  redis_->run({"SET", "u2", "x"});
  const auto store = open_store(options_);
  const auto list = [&](std::string_view user) {
    const std::vector<std::string_view> values = {user};
    return (*store)->list(kUser, values,
                          std::chrono::steady_clock::now() + std::chrono::seconds(9));
  };
  const auto known = list("u1");
  ASSERT_TRUE(known) << known.error().message;
  std::string told;
  for (const auto& [name, value] : **known) {
    told += name + "=" + std::visit(ShortText(), value.data) + " ";
    EXPECT_EQ(value.time_ns, 60'000'000'000) << name;
  }
  EXPECT_EQ(told, "a=t1 at=t60 b=t ");
  ASSERT_TRUE(list("nobody"));
  EXPECT_TRUE((*list("nobody"))->empty());
  EXPECT_EQ(list("u2").error().reason, "bad_store");
}

TEST_F(RedisStore, ManyThreadsShareAReader) {
  for (int i = 0; i < 64; ++i) {
    redis_->run({"HSET", std::to_string(i), "n", std::to_string(i)});
  }
  const auto made = reader({kUser, {{"n", FeatureType::kNumber}}});
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&made, &right] {
        for (int i = 0; i < 64; ++i) {
          const auto number = std::to_string(i);
          right += read_rows(*made, {{number}, {"x"}}) == Rows{"i" + number, "unknown"} ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(right, 4 * 64);
}

TEST(RedisStoreDown, IsNotThereOrDoesNotAnswerOrIsNotReady) {
  StoreOptions options;
  clients::FakeRedis silent({[](clients::FakePeer& peer) { peer.read(std::size_t{1} << 30); }});
  clients::FakeRedis loading({[](clients::FakePeer& peer) {
    while (!peer.read(1).empty()) peer.write("-LOADING Redis is loading the dataset in memory\r\n");
  }});
  const auto read = [&options](const std::string& url, std::chrono::milliseconds patience) {
    options.url = url;
    const auto made = (*open_store(options))->reader({kUser, {{"a"}}});
    return read_rows(**made, {{"u1"}}, patience);
  };
  constexpr std::chrono::seconds kLong(10);
  EXPECT_EQ(read("redis://127.0.0.1:1", kLong), Rows{"store_unavailable"});
  EXPECT_EQ(read(silent.url(), std::chrono::milliseconds(500)), Rows{"store_timeout"});
  EXPECT_EQ(read(loading.url(), kLong), Rows{"store_unavailable"});
}

}  // namespace
}  // namespace sluice::features
