#include "clients/redis.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "clients/testing/fake_redis.h"

namespace sluice::clients {
namespace {

using namespace std::chrono_literals;

// Writes down what it is told: "0[2] a -" is a list with "a" and nil.
struct Written : RedisReplies {
  bool list(std::size_t reply, std::size_t size) override {
    all += (all.empty() ? "" : " ") + std::to_string(reply) + "[" + std::to_string(size) + "]";
    return size <= most;
  }
  void text(std::size_t, std::size_t, std::string_view text) override {
    all += text.size() <= 32 ? " " + std::string(text) : " (" + std::to_string(text.size()) + ")";
  }
  void nil(std::size_t, std::size_t) override { all += " -"; }
  Result<void> refused(std::size_t reply, std::string_view why) override {
    if (why.starts_with("WRONGTYPE")) {
      all += " " + std::to_string(reply) + "!";
      return {};
    }
    return Failure(redis_refusal(why));
  }

  std::string all;
  std::size_t most = 1'000'000;
};

std::string command(std::initializer_list<std::string_view> words) {
  std::string out;
  append_redis_command(out, words);
  return out;
}

const std::string kAsk = command({"HMGET", "k", "a", "b"});

RedisClient client_of(const std::string& url) { return RedisClient(*parse_redis_url(url)); }

// What was told of `commands` HMGETs, or the reason of the error.
std::string ask(const RedisClient& client, std::size_t commands = 1,
                std::chrono::milliseconds patience = 10s) {
  std::string pipeline;
  for (std::size_t i = 0; i < commands; ++i) pipeline += kAsk;
  Written written;
  const auto done =
      client.ask(pipeline, commands, written, std::chrono::steady_clock::now() + patience);
  return done ? written.all : std::string(done.error().reason);
}

// Answers each question for as long as there is a client.
FakeScript answering(std::string reply) {
  return [reply = std::move(reply)](FakePeer& peer) {
    while (peer.read(kAsk.size()).size() == kAsk.size()) peer.write(reply);
  };
}

// Answers once and keeps quiet.
FakeScript saying(std::string reply) {
  return [reply = std::move(reply)](FakePeer& peer) {
    peer.read(kAsk.size());
    peer.write(reply);
    peer.read(1);
  };
}

void close_at_once(FakePeer& /*peer*/) {}

const std::string kReply = "*2\r\n$1\r\nx\r\n$-1\r\n";

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
  EXPECT_EQ(parse_redis_url("redis://:secret@[::1]:7/")->password, "secret");
}

TEST(RedisUrl, WhatIsNone) {
  for (const auto* bad : {"redis:", "redis://", "redis://:6379", "http://h", "redis://h:0",
                          "redis://h:x", "redis://h:65536", "redis://h/x", "redis://h/-1",
                          "redis://ann@h", "redis://ann:@h", "redis://h?db=2", "rediss://h"}) {
    const auto url = parse_redis_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().reason, "bad_store_url") << bad;
  }
  EXPECT_NE(parse_redis_url("rediss://h").error().message.find("TLS"), std::string::npos);
  const auto secret = parse_redis_url("redis://ann:hunter2@h:x").error().message;
  EXPECT_EQ(secret.find("hunter2"), std::string::npos);
}

TEST(RedisClient, AConnectionIsMadeAtItsFirstUseAndKept) {
  FakeRedis fake({answering(kReply)});
  const auto client = client_of(fake.url());
  EXPECT_EQ(fake.connections(), 0U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(fake.connections(), 1U);
}

TEST(RedisClient, RepliesInPieces) {
  FakeRedis fake({[](FakePeer& peer) {
    peer.read(2 * kAsk.size());
    for (const char c : kReply + kReply) {
      peer.write({&c, 1});
      std::this_thread::yield();
    }
    peer.read(1);
  }});
  EXPECT_EQ(ask(client_of(fake.url()), 2), "0[2] x - 1[2] x -");
}

TEST(RedisClient, OneCommandThatIsRefusedLeavesTheOthers) {
  FakeRedis fake({[](FakePeer& peer) {
    while (!peer.read(2 * kAsk.size()).empty()) peer.write("-WRONGTYPE no hash\r\n" + kReply);
  }});
  const auto client = client_of(fake.url());
  EXPECT_EQ(ask(client, 2), " 0! 1[2] x -");
  EXPECT_EQ(ask(client, 2), " 0! 1[2] x -");
  EXPECT_EQ(fake.connections(), 1U);
}

TEST(RedisClient, RefusalsOfAllAreErrorsAndTheConnectionStays) {
  FakeRedis fake({[](FakePeer& peer) {
    for (const auto* word : {"LOADING", "BUSY", "NOAUTH", "MOVED 1 10.0.0.1:7", "xyz"}) {
      peer.read(kAsk.size());
      peer.write("-" + std::string(word) + " 10.0.0.1\r\n");
    }
    peer.read(1);
  }});
  const auto client = client_of(fake.url());
  for (const auto* reason :
       {"store_unavailable", "store_unavailable", "bad_store", "bad_store", "bad_store"}) {
    EXPECT_EQ(ask(client), reason);
  }
  EXPECT_EQ(fake.connections(), 1U);
  for (const auto* why : {"MOVED 1 10.0.0.1:7", "ERR 10.0.0.1", "10.0.0.1"}) {
    EXPECT_EQ(redis_refusal(why).message.find("10.0.0.1"), std::string::npos);
  }
}

TEST(RedisClient, WhatIsNotRedisOrNotWhatWasAsked) {
  for (const auto* reply :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", ":1\r\n", "+OK\r\n", "$1\r\nx\r\n", "$-1\r\n",
        "*-1\r\n", "*2\r\n:1\r\n:2\r\n", "*2\r\n*1\r\n$1\r\nx\r\n$-1\r\n", "*1\r\n-ERR x\r\n",
        "*2000000\r\n", "*99999999999\r\n", "*x\r\n", "\xff\x00\r\n"}) {
    FakeRedis fake({saying(reply), answering(kReply)});
    const auto client = client_of(fake.url());
    EXPECT_EQ(ask(client), "bad_store") << reply;
    EXPECT_EQ(ask(client), "0[2] x -") << "on another connection";
    EXPECT_EQ(fake.connections(), 2U);
  }
}

TEST(RedisClient, AReplyOfMoreThan64MiB) {
  FakeRedis fake({[](FakePeer& peer) {
    peer.read(kAsk.size());
    peer.write("*2\r\n$80000000\r\n");
    const std::string piece(1 << 20, 'x');
    while (peer.write(piece)) {
    }
  }});
  EXPECT_EQ(ask(client_of(fake.url())), "bad_store");
}

TEST(RedisClient, AServerThatNeverAnswersIsGivenUpAndItsConnectionNotUsedAgain) {
  FakeRedis fake({[](FakePeer& peer) { peer.read(std::size_t{1} << 30); }, saying("*2\r\n$1\r\nx"),
                  answering(kReply)});
  const auto client = client_of(fake.url());
  EXPECT_EQ(ask(client, 1, 30ms), "store_timeout");
  EXPECT_EQ(ask(client, 1, 30ms), "store_timeout") << "in the middle of a reply";
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(fake.connections(), 3U);
}

TEST(RedisClient, ADeadlineThatIsOver) {
  FakeRedis fake({answering(kReply)});
  EXPECT_EQ(ask(client_of(fake.url()), 1, -1s), "store_timeout");
}

TEST(RedisClient, NobodyThere) {
  std::string url;
  {
    FakeRedis fake({answering(kReply)});
    url = fake.url();
  }
  EXPECT_EQ(ask(client_of(url)), "store_unavailable");
}

TEST(RedisClient, AnIdleConnectionThatWasClosedIsNoError) {
  std::atomic<bool> close = false;
  FakeRedis fake({[&close](FakePeer& peer) {
                    peer.read(kAsk.size());
                    peer.write(kReply);
                    while (!close) std::this_thread::yield();
                  },
                  // Closed only when the question is there, so that nobody can see it before.
                  [](FakePeer& peer) {
                    peer.read(kAsk.size());
                    peer.write(kReply);
                    peer.read(kAsk.size());
                  },
                  answering(kReply)});
  const auto client = client_of(fake.url());
  EXPECT_EQ(ask(client), "0[2] x -");
  close = true;
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(fake.connections(), 3U);
}

TEST(RedisClient, OnlyOneRetryAndNoneInTheMiddleOfAReply) {
  FakeRedis fake({[](FakePeer& peer) {
                    peer.read(kAsk.size());
                    peer.write(kReply);
                    peer.read(kAsk.size());
                    peer.write("*2\r\n");
                  },
                  [](FakePeer& peer) {
                    peer.read(kAsk.size());
                    peer.write(kReply);
                    peer.read(kAsk.size());
                  },
                  close_at_once});
  const auto client = client_of(fake.url());
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(ask(client), "store_unavailable") << "cut in the middle";
  EXPECT_EQ(fake.connections(), 1U);
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(ask(client), "store_unavailable") << "closed, and the new one too";
  EXPECT_EQ(fake.connections(), 3U);
}

TEST(RedisClient, BytesThatNobodyAskedForEndAConnection) {
  FakeRedis fake({saying(kReply + kReply), answering(kReply)});
  const auto client = client_of(fake.url());
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(fake.connections(), 2U);
}

TEST(RedisClient, UserPasswordAndDatabaseBeforeAnythingElse) {
  const auto greeting = command({"AUTH", "ann", "p@ss"}) + command({"SELECT", "2"});
  std::atomic<int> right = 0;
  const auto server = [&greeting, &right](std::string reply) {
    return [&greeting, &right, reply](FakePeer& peer) {
      right += peer.read(greeting.size()) == greeting ? 1 : 0;
      peer.write(reply);
      answering(kReply)(peer);
    };
  };
  FakeRedis fake({server("+OK\r\n+OK\r\n"), server("-WRONGPASS no\r\n-NOAUTH no\r\n"),
                  server("+OK\r\n-ERR DB index is out of range\r\n"), server(":1\r\n:1\r\n")});
  const auto url = "redis://ann:p%40ss@127.0.0.1:" + fake.port() + "/2";
  for (const auto* told : {"0[2] x -", "bad_store", "bad_store", "bad_store"}) {
    EXPECT_EQ(ask(client_of(url)), told);
  }
  EXPECT_EQ(right, 4);
}

// 16 MiB each way, from a server that reads nothing on before its reply is taken.
TEST(RedisClient, APipelineLargerThanTheSocketsHold) {
  constexpr std::size_t kCommands = 64;
  const std::string large(256 << 10, 'y');
  FakeRedis fake({[&large](FakePeer& peer) {
    const auto size = command({"HMGET", large}).size();
    while (peer.read(size).size() == size) {
      peer.write("*1\r\n$" + std::to_string(large.size()) + "\r\n" + large + "\r\n");
    }
  }});
  std::string pipeline;
  for (std::size_t i = 0; i < kCommands; ++i) pipeline += command({"HMGET", large});
  Written written;
  const auto client = client_of(fake.url());
  const auto done =
      client.ask(pipeline, kCommands, written, std::chrono::steady_clock::now() + 60s);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(written.all.ends_with("63[1] (262144)"));
}

TEST(RedisClient, ManyThreadsHaveConnectionsOfTheirOwn) {
  FakeRedis fake({answering(kReply)});
  const auto client = client_of(fake.url());
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 50; ++j) wrong += ask(client) == "0[2] x -" ? 0 : 1;
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(fake.connections(), 4U);
}

TEST(RedisClient, RedisItself) {
  const auto redis = RealRedis::start({"--requirepass", "p@ss", "--databases", "3"});
  if (!redis) GTEST_SKIP() << "no redis-server on PATH";
  const auto at = "127.0.0.1:" + redis->port();
  EXPECT_EQ(ask(client_of("redis://" + at)), "bad_store") << "without a password";
  EXPECT_EQ(ask(client_of("redis://:wrong@" + at)), "bad_store");
  EXPECT_EQ(ask(client_of("redis://:p%40ss@" + at + "/3")), "bad_store") << "no such database";
  EXPECT_EQ(ask(client_of("redis://:p%40ss@" + at + "/2")), "0[2] - -");
  EXPECT_EQ(ask(client_of("redis://default:p%40ss@" + at), 300).substr(0, 16), "0[2] - - 1[2] - ");
}

TEST(RedisClient, RedisThatHasBeenStartedAnewOrIsGone) {
  auto redis = RealRedis::start();
  if (!redis) GTEST_SKIP() << "no redis-server on PATH";
  EXPECT_EQ(redis->run({"HSET", "k", "a", "1"}), ":1");
  const auto client = client_of(redis->url());
  EXPECT_EQ(ask(client), "0[2] 1 -");
  EXPECT_EQ(redis->run({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}), ":1");
  EXPECT_EQ(ask(client), "0[2] 1 -") << "on a new connection";
  redis.reset();
  EXPECT_EQ(ask(client), "store_unavailable");
}

}  // namespace
}  // namespace sluice::clients
