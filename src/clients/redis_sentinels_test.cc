#include "clients/redis_sentinels.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "clients/testing/asking.h"
#include "clients/testing/fake_redis.h"

namespace sluice::clients {
namespace {

using namespace std::chrono_literals;

const std::string kFind = command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"});
const std::string kRole = command({"ROLE"});
const std::string kPrimary =
    "*3\r\n$6\r\nmaster\r\n:42\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6380\r\n$2\r\n42\r\n";
const std::string kCopy =
    "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6380\r\n$9\r\nconnected\r\n:42\r\n";

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

// A sentinel that says this to whoever asks for "m".
FakeScript telling(std::string reply) {
  return [reply = std::move(reply)](FakePeer& peer) {
    if (peer.read(kFind.size()) == kFind) peer.write(reply);
    peer.read(1);
  };
}
FakeScript naming(const FakeRedis& primary) {
  return telling("*2\r\n" + bulk("127.0.0.1") + bulk(primary.port()));
}
void saying_nothing(FakePeer& peer) { peer.read(std::size_t{1} << 20); }

// Says that it has this role, and answers.
FakeScript being(std::string role, std::string reply = kReply) {
  return [role = std::move(role), reply = std::move(reply)](FakePeer& peer) {
    if (peer.read(kRole.size()) == kRole) peer.write(role);
    answering(reply)(peer);
  };
}

std::string url_of(const std::vector<std::string>& ports) {
  std::string out = "redis+sentinel://";
  for (const auto& port : ports) out += (&port == &ports[0] ? "127.0.0.1:" : ",127.0.0.1:") + port;
  return out + "/m";
}

TEST(RedisSentinels, TellWhereThePrimaryIs) {
  const FakeRedis redis({being(kPrimary)});
  const FakeRedis sentinel({naming(redis)});
  const auto client = client_of(url_of({sentinel.port()}));
  EXPECT_EQ(sentinel.connections(), 0U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(redis.connections(), 1U);
  EXPECT_EQ(sentinel.connections(), 1U) << "asked when it is connected to";
}

TEST(RedisSentinels, AreAskedInTurnAndWhoAnsweredFirst) {
  const FakeRedis redis({being(kPrimary)});
  std::string gone;
  {
    const FakeRedis fake({saying_nothing});
    gone = fake.port();
  }
  const FakeRedis strange({telling("*-1\r\n")});
  const FakeRedis silent({saying_nothing});
  const FakeRedis sentinel({naming(redis)});
  const RedisSentinels sentinels(
      *parse_redis_url(url_of({gone, strange.port(), silent.port(), sentinel.port()})));
  for (int i = 0; i < 3; ++i) {
    const auto url = sentinels.primary(std::chrono::steady_clock::now() + 4s);
    ASSERT_TRUE(url) << url.error().message;
    EXPECT_EQ(url->host, "127.0.0.1");
    EXPECT_EQ(url->port, redis.port());
    EXPECT_EQ(url->primary, "m") << "its role is to be looked at";
  }
  EXPECT_EQ(strange.connections(), 1U);
  EXPECT_EQ(silent.connections(), 1U);
  EXPECT_EQ(sentinel.connections(), 3U);
}

struct Refusal {
  const char* reply;
  const char* reason;
  const char* word;  // of the message
};
constexpr Refusal kRefusals[] = {
    {"*-1\r\n", "bad_store", "do not know"},
    {"-NOAUTH Authentication required.\r\n", "bad_store", "wants a password"},
    {"-ERR unknown command 'SENTINEL'\r\n", "bad_store", "is none"},
    {"*1\r\n$1\r\nx\r\n", "bad_store", "another kind"},
    {"+OK\r\n", "bad_store", "another kind"},
    {"-LOADING x\r\n", "store_unavailable", "no sentinel of Redis answers"},
};

TEST(RedisSentinels, WhatTheyRefuseIsSaid) {
  for (const auto& refusal : kRefusals) {
    const FakeRedis sentinel({telling(refusal.reply)});
    std::string gone;
    {
      const FakeRedis fake({saying_nothing});
      gone = fake.port();
    }
    const RedisSentinels sentinels(*parse_redis_url(url_of({sentinel.port(), gone})));
    const auto url = sentinels.primary(std::chrono::steady_clock::now() + 10s);
    ASSERT_FALSE(url);
    EXPECT_EQ(url.error().reason, refusal.reason) << refusal.reply;
    if (refusal.reason == std::string_view("bad_store")) {
      EXPECT_NE(url.error().message.find(refusal.word), std::string::npos) << url.error().message;
    }
    EXPECT_EQ(url.error().message.find("127.0.0.1"), std::string::npos);
  }
}

TEST(RedisSentinels, NoneAnswers) {
  const FakeRedis silent({saying_nothing});
  EXPECT_EQ(ask(client_of(url_of({silent.port(), silent.port()})), 1, 50ms), "store_timeout");
  EXPECT_EQ(ask(client_of(url_of({silent.port()})), 1, -1s), "store_timeout");
}

TEST(RedisSentinels, WhatTheyNameMustBeThePrimary) {
  const FakeRedis redis({being(kCopy), being("-NOPERM no\r\n"), being("+OK\r\n"), being(kPrimary)});
  const FakeRedis sentinel({naming(redis)});
  const auto client = client_of(url_of({sentinel.port()}));
  EXPECT_EQ(ask(client), "store_unavailable");
  EXPECT_EQ(ask(client), "bad_store") << "ROLE is not allowed";
  EXPECT_EQ(ask(client), "bad_store");
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(sentinel.connections(), 4U) << "asked each time";
}

TEST(RedisSentinels, AreAskedAgainAfterACopyHasRefused) {
  const FakeRedis old({being(kPrimary, "-READONLY You can't write\r\n")});
  const FakeRedis redis({being(kPrimary)});
  const FakeRedis sentinel({naming(old), naming(redis)});
  const auto client = client_of(url_of({sentinel.port()}));
  EXPECT_EQ(ask(client), "bad_store");
  EXPECT_EQ(ask(client), "0[2] x -");
  EXPECT_EQ(sentinel.connections(), 2U);
}

// One connection has failed: the others, which go to the same server, are not asked any more.
TEST(RedisSentinels, AfterAnErrorNoConnectionIsKept) {
  std::atomic<int> asked = 0;
  std::atomic<bool> silent = false;
  const auto once_good = [&](FakePeer& peer) {
    if (peer.read(kRole.size()) == kRole) peer.write(kPrimary);
    while (peer.read(kAsk.size()) == kAsk) {
      ++asked;
      // Two at the same time, so that there are two connections.
      while (!silent && asked < 2) std::this_thread::yield();
      if (!silent) peer.write(kReply);
    }
  };
  const FakeRedis old({once_good});
  const FakeRedis redis({being(kPrimary)});
  const FakeRedis sentinel({naming(old), naming(old), naming(redis)});
  const auto client = client_of(url_of({sentinel.port()}));
  std::thread other([&] { EXPECT_EQ(ask(client), "0[2] x -"); });
  EXPECT_EQ(ask(client), "0[2] x -");
  other.join();
  EXPECT_EQ(old.connections(), 2U);
  silent = true;
  EXPECT_EQ(ask(client, 1, 500ms), "store_timeout");
  EXPECT_EQ(ask(client), "0[2] x -");
  // Whoever plays the server may hear of it later than the client gives it up.
  for (int i = 0; i < 1000 && asked < 3; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(asked, 3);
}

class RedisFailover : public ::testing::Test {
 protected:
  void SetUp() override {
    primary_ = RealRedis::start({"--repl-diskless-sync-delay", "0"});
    if (!primary_) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
    primary_->run({"HSET", "k", "a", "1"});
    copy_ = RealRedis::start({"--replicaof", "127.0.0.1 " + primary_->port()});
    EXPECT_TRUE(comes([&] { return copy_->run({"HGET", "k", "a"}) == "$1"; })) << "it has a copy";
    sentinel_ = RealRedis::start_sentinel("m", primary_->port());
    EXPECT_TRUE(comes([&] { return sentinel_->run({"SENTINEL", "REPLICAS", "m"}) == "*1"; }));
  }
  // Within a minute, looked at often.
  static bool comes(const std::function<bool()>& what) {
    for (int i = 0; i < 3000; ++i) {
      if (what()) return true;
      std::this_thread::sleep_for(20ms);
    }
    return false;
  }
  // A client that has a connection to the primary, or two.
  void goes_on_after(const std::function<void()>& failure) {
    const auto client = client_of(url_of({sentinel_->port()}));
    {
      std::jthread other([&] { EXPECT_EQ(ask(client), "0[2] 1 -"); });
      EXPECT_EQ(ask(client), "0[2] 1 -");
    }
    failure();
    EXPECT_EQ(ask(client, 1, 100ms).substr(0, 6), "store_") << "nobody has noticed yet";
    EXPECT_TRUE(comes([&] { return ask(client, 1, 500ms) == "0[2] 1 -"; }));
    // It is the other one.
    EXPECT_EQ(copy_->run({"HSET", "k", "a", "2"}), ":0");
    EXPECT_EQ(ask(client), "0[2] 2 -");
  }

  std::unique_ptr<RealRedis> primary_;
  std::unique_ptr<RealRedis> copy_;
  std::unique_ptr<RealRedis> sentinel_;
};

TEST_F(RedisFailover, APrimaryThatHasEnded) {
  goes_on_after([&] { primary_.reset(); });
}

TEST_F(RedisFailover, APrimaryThatSaysNothing) {
  goes_on_after([&] { primary_->stand_still(); });
}

}  // namespace
}  // namespace sluice::clients
