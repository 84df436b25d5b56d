#include "clients/redis_url.h"

#include <gtest/gtest.h>

namespace sluice::clients {
namespace {

std::string message(std::string_view bad) {
  const auto url = parse_redis_url(bad);
  EXPECT_FALSE(url) << bad;
  if (url) return "";
  EXPECT_EQ(url.error().code, Code::kInvalidArgument) << bad;
  EXPECT_EQ(url.error().reason, "bad_store_url") << bad;
  return url.error().message;
}

TEST(RedisUrl, HasAllParts) {
  const auto url = parse_redis_url("redis://ann:p%40ss:%2F@redis.example:6380/2");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->user, "ann");
  EXPECT_EQ(url->password, "p@ss:/");
  EXPECT_EQ(url->host, "redis.example");
  EXPECT_EQ(url->port, "6380");
  EXPECT_EQ(url->database, 2);
  const auto plain = parse_redis_url("redis://[::1]");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "::1");
  EXPECT_EQ(plain->port, "6379");
  EXPECT_EQ(plain->database, 0);
  EXPECT_TRUE(plain->sentinels.empty());
  EXPECT_EQ(plain->primary, "");
  EXPECT_EQ(parse_redis_url("redis://:secret@[::1]:7/")->password, "secret");
}

TEST(RedisUrl, WhatIsNone) {
  for (const auto* bad : {"redis:",
                          "redis://",
                          "redis://:6379",
                          "http://h",
                          "redis://h:0",
                          "redis://h:x",
                          "redis://h:65536",
                          "redis://h/x",
                          "redis://h/-1",
                          "redis://ann@h",
                          "redis://ann:@h",
                          "redis://h?db=2",
                          "redis+sentinel:",
                          "redis+sentinel://",
                          "redis+sentinel://h",
                          "redis+sentinel://h/",
                          "redis+sentinel://h//2",
                          "redis+sentinel://h,/name",
                          "redis+sentinel://,h/name",
                          "redis+sentinel://h,i:x/name",
                          "redis+sentinel://h/name/x",
                          "redis+sentinel://h/name/2/3",
                          "redis+sentinel://h/name?db=2"}) {
    EXPECT_NE(message(bad), "");
  }
  EXPECT_EQ(message("redis://ann:hunter2@h:x").find("hunter2"), std::string::npos);
  EXPECT_NE(message("redis+sentinel://h").find("redis+sentinel://[user"), std::string::npos);
}

TEST(RedisUrl, OverTls) {
  const auto url = parse_redis_url("rediss://:p%3F@h/2?cacert=/etc/my%20ca@1.pem");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->password, "p?");
  EXPECT_EQ(url->host, "h");
  EXPECT_EQ(url->port, "6379");
  EXPECT_EQ(url->database, 2);
  EXPECT_EQ(url->authorities, "/etc/my ca@1.pem");
  EXPECT_EQ(parse_redis_url("rediss://h?cacert=f")->host, "h");
  EXPECT_EQ(parse_redis_url("rediss://h")->authorities, "");
  EXPECT_FALSE(parse_redis_url("redis://h")->tls);
}

TEST(RedisUrl, NamesSentinelsAndThePrimary) {
  const auto url = parse_redis_url("redis+sentinel://ann:p%40@one.example,[::1]:7/my%20name/2");
  ASSERT_TRUE(url) << url.error().message;
  ASSERT_EQ(url->sentinels.size(), 2U);
  EXPECT_EQ(url->sentinels[0].host, "one.example");
  EXPECT_EQ(url->sentinels[0].port, "26379");
  EXPECT_EQ(url->sentinels[1].host, "::1");
  EXPECT_EQ(url->sentinels[1].port, "7");
  EXPECT_EQ(url->primary, "my name");
  EXPECT_EQ(url->user, "ann");
  EXPECT_EQ(url->password, "p@");
  EXPECT_EQ(url->database, 2);
  EXPECT_EQ(url->host, "");
  EXPECT_EQ(parse_redis_url("redis+sentinel://h/name")->database, 0);
}

}  // namespace
}  // namespace sluice::clients
