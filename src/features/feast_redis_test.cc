#include "features/feast_redis.h"

#include <gtest/gtest.h>

#include "clients/testing/fake_redis.h"
#include "features/builtin.h"
#include "features/testing/feast_golden.h"
#include "features/testing/read_rows.h"

namespace sluice::features {
namespace {

using clients::RealRedis;
using Rows = std::vector<std::string>;

const std::vector<EntityKey> kDriver = {{"driver_id", KeyType::kInt64}};

TEST(FeastRedisStore, NeedsAProject) {
  StoreOptions options;
  options.url = "feast+redis://127.0.0.1:1";
  EXPECT_EQ(open_store(options).error().reason, "bad_store_url") << "without a project";
  options.project = "shop";
  const auto store = open_store(options);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ((*store)->reader({kDriver, {{"conv"}}}).error().reason, "bad_config");
  for (const auto* good : {"feast+rediss://127.0.0.1:1", "feast+redis+sentinel://127.0.0.1:1/m"}) {
    options.url = good;
    EXPECT_TRUE(open_store(options)) << good;
  }
  options.url = "feast+rediss://";
  EXPECT_EQ(open_store(options).error().reason, "bad_store_url");
}

class FeastRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    redis_ = RealRedis::start();
    if (!redis_) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
    for (const auto& hash : feast_golden("hash")) {
      for (const auto& field : hash["fields"]) {
        redis_->run({"HSET", unhex(hash["hash"]), unhex(field[0]), unhex(field[1])});
      }
    }
  }
  Rows read(const std::string& project, int version, const FeatureLookup& lookup,
            const std::vector<std::vector<std::string>>& entities) const {
    StoreOptions options;
    options.url = "feast+" + redis_->url();
    options.project = project;
    options.key_version = version;
    auto store = open_store(options);
    if (!store) return {store.error().message};
    auto reader = (*store)->reader(lookup);
    if (!reader) return {reader.error().message};
    return read_rows(**reader, entities);
  }

  std::unique_ptr<RealRedis> redis_;
};

TEST_F(FeastRedisTest, ValuesOfTwoViewsWithTheirTimes) {
  const FeatureLookup lookup = {kDriver,
                                {{"stats:conv"},
                                 {"car:brand"},
                                 {"stats:trips", FeatureType::kText},
                                 {"stats:city"},
                                 {"car:seats"},
                                 {"stats:new"},
                                 {"boat:name"}}};
  EXPECT_EQ(read("shop", 3, lookup, {{"1001"}, {"1002"}}),
            (Rows{"d0.5@d1795687200.25 tsaab@d1795680000. t12@d1795687200.25 "
                  "null@d1795687200.25 [d2. d4.]@d1795680000. absent@d1795687200.25 absent",
                  "unknown"}));
}

TEST_F(FeastRedisTest, KeysOfOlderVersionsAndSeveralKeysInAnyOrder) {
  const FeatureLookup pair = {{{"user"}, {"at", KeyType::kInt32}}, {{"stats:conv"}}};
  EXPECT_EQ(read("shop", 2, pair, {{"Zo\u00eb", "-1"}}), Rows{"d2.5"}) << "a time of 0 is none";
  const FeatureLookup turned = {{{"at", KeyType::kInt32}, {"user"}}, {{"stats:conv"}}};
  EXPECT_EQ(read("shop", 2, turned, {{"-1", "Zo\u00eb"}}), Rows{"d2.5"});
  const FeatureLookup one = {kDriver, {{"stats:conv", FeatureType::kNumber}}};
  // The second is an entity that version 1 cannot have.
  EXPECT_EQ(read("p", 1, one, {{"8"}, {"9223372036854775807"}, {"7"}}),
            (Rows{"unknown", "unknown", "i1@d1795687200."}));
  EXPECT_EQ(read("p", 1, one, {{"9223372036854775807"}}), Rows{"unknown"});
}

TEST_F(FeastRedisTest, AnotherProjectOrVersionOrTypeIsAnotherKey) {
  const FeatureLookup lookup = {kDriver, {{"stats:conv"}}};
  EXPECT_EQ(read("shop", 3, lookup, {{"1001"}}), Rows{"d0.5@d1795687200.25"});
  EXPECT_EQ(read("shopping", 3, lookup, {{"1001"}}), Rows{"unknown"});
  EXPECT_EQ(read("shop", 2, lookup, {{"1001"}}), Rows{"unknown"});
  const FeatureLookup small = {{{"driver_id", KeyType::kInt32}}, {{"stats:conv"}}};
  EXPECT_EQ(read("shop", 3, small, {{"1001"}}), Rows{"unknown"});
}

TEST_F(FeastRedisTest, WhatIsNotFeasts) {
  const auto hash = feast_golden("hash")[0];
  const auto key = unhex(hash["hash"]);
  const FeatureLookup lookup = {kDriver, {{"stats:conv"}, {"stats:trips"}}};
  for (const auto& field : hash["fields"]) {
    // Bytes that are no message of protobuf's, and empty ones, under every name of the entity's.
    redis_->run({"HSET", key, unhex(field[0]), "\xff\xff"});
  }
  EXPECT_EQ(read("shop", 3, lookup, {{"1001"}}),
            Rows{"!is not a value of Feast's !is not a value of Feast's"});
  for (const auto& field : hash["fields"]) redis_->run({"HSET", key, unhex(field[0]), ""});
  EXPECT_EQ(read("shop", 3, lookup, {{"1001"}}), Rows{"null null"});
  redis_->run({"SET", key, "x"});
  EXPECT_EQ(read("shop", 3, lookup, {{"1001"}}),
            Rows{"!is not kept in a hash !is not kept in a hash"});
}

}  // namespace
}  // namespace sluice::features
