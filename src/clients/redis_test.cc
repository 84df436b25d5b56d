#include "clients/redis.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "clients/testing/asking.h"
#include "clients/testing/fake_redis.h"

namespace sluice::clients {
namespace {

using namespace std::chrono_literals;

void close_at_once(FakePeer& /*peer*/) {}

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
  for (const auto* reply : {"HTTP/1.1 400 Bad Request\r\n\r\n", ":1\r\n", "+OK\r\n", "$1\r\nx\r\n",
                            "$-1\r\n", "*-1\r\n", "*2\r\n:1\r\n:2\r\n", "*2\r\n*0\r\n$1\r\nx\r\n",
                            "*2\r\n*1\r\n$1\r\nx\r\n$-1\r\n", "*1\r\n-ERR x\r\n", "*2000000\r\n",
                            "*99999999999\r\n", "*x\r\n", "\xff\x00\r\n"}) {
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

// What was the primary when it was connected to: its name may be another server's now.
TEST(RedisClient, AfterACopyHasRefusedItConnectsAnew) {
  for (const auto* why : {"READONLY You can't write", "MASTERDOWN Link is down",
                          "ERR Error running script: READONLY You can't write"}) {
    FakeRedis fake({answering("-" + std::string(why) + "\r\n"), answering(kReply)});
    const auto client = client_of(fake.url());
    EXPECT_NE(ask(client), "0[2] x -") << why;
    EXPECT_EQ(ask(client), "0[2] x -") << why;
    EXPECT_EQ(fake.connections(), 2U) << why;
  }
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
  if (!redis) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
  const auto at = "127.0.0.1:" + redis->port();
  EXPECT_EQ(ask(client_of("redis://" + at)), "bad_store") << "without a password";
  EXPECT_EQ(ask(client_of("redis://:wrong@" + at)), "bad_store");
  EXPECT_EQ(ask(client_of("redis://:p%40ss@" + at + "/3")), "bad_store") << "no such database";
  EXPECT_EQ(ask(client_of("redis://:p%40ss@" + at + "/2")), "0[2] - -");
  EXPECT_EQ(ask(client_of("redis://default:p%40ss@" + at), 300).substr(0, 16), "0[2] - - 1[2] - ");
}

TEST(RedisClient, RedisThatHasBeenStartedAnewOrIsGone) {
  auto redis = RealRedis::start();
  if (!redis) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
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
