// Redis over TLS, as redis-server speaks it.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/testing/certificates.h"
#include "clients/redis.h"
#include "clients/testing/asking.h"
#include "clients/testing/fake_redis.h"

namespace sluice::clients {
namespace {

using namespace std::chrono_literals;
using sluice::testing::Certificates;

class RedisTls : public ::testing::Test {
 protected:
  // A server with this certificate, at a port for TLS and one without.
  void start(const Certificates::Pair& pair, const std::string& wants_certificates = "no") {
    redis_.reset();
    redis_ =
        RealRedis::start({"--tls-port", "any", "--tls-cert-file", pair.certificate,
                          "--tls-key-file", pair.key, "--tls-ca-cert-file",
                          certificates_.authority(), "--tls-auth-clients", wants_certificates});
    if (!redis_) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
    at_ = ":" + redis_->tls_port();
  }
  std::string url(const std::string& host) const {
    return "rediss://" + host + at_ + "?cacert=" + certificates_.authority();
  }
  // The message of the error.
  static std::string message(const std::string& url, std::chrono::milliseconds patience = 10s) {
    Written written;
    const auto done =
        client_of(url).ask(kAsk, 1, written, std::chrono::steady_clock::now() + patience);
    EXPECT_FALSE(done);
    if (done) return "";
    for (const auto* hidden : {"127.0.0.1", "localhost", "authority.pem"}) {
      EXPECT_EQ(done.error().message.find(hidden), std::string::npos) << done.error().message;
    }
    return std::string(done.error().reason) + ": " + done.error().message;
  }
  static void fails(const std::string& url, const std::string& reason, const std::string& word,
                    std::chrono::milliseconds patience = 10s) {
    const auto told = message(url, patience);
    EXPECT_TRUE(told.starts_with(reason + ": ")) << told;
    EXPECT_NE(told.find(word), std::string::npos) << told;
  }

  Certificates certificates_;
  std::unique_ptr<RealRedis> redis_;
  std::string at_;
};

TEST_F(RedisTls, TheSameAsWithout) {
  start(certificates_.issue("DNS:localhost,IP:127.0.0.1"));
  if (!redis_) return;
  EXPECT_EQ(redis_->run({"HSET", "k", "a", "1"}), ":1");
  for (const auto* host : {"localhost", "127.0.0.1"}) {
    const auto client = client_of(url(host));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(client), "0[2] 1 -") << host;
    EXPECT_EQ(ask(client, 300).substr(0, 18), "0[2] 1 - 1[2] 1 - ");
  }
}

TEST_F(RedisTls, AConnectionIsKeptAndMadeAnewWhenItWasClosed) {
  start(certificates_.issue("DNS:localhost"));
  if (!redis_) return;
  const auto client = client_of(url("localhost"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(client), "0[2] - -");
  // As many as it ends: what asked.
  EXPECT_EQ(redis_->run({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}), ":1");
  EXPECT_EQ(ask(client), "0[2] - -");
  redis_.reset();
  EXPECT_EQ(ask(client), "store_unavailable");
}

// Both ways more than sockets and TLS hold.
TEST_F(RedisTls, ALargePipelineAndLargeReplies) {
  start(certificates_.issue("DNS:localhost"));
  if (!redis_) return;
  const std::string large(1 << 20, 'y');
  EXPECT_EQ(redis_->run({"HSET", "k", "a", large}), ":1");
  std::string pipeline;
  for (int i = 0; i < 16; ++i) pipeline += command({"HMGET", "k", large, "a"});
  Written written;
  const auto client = client_of(url("localhost"));
  const auto done = client.ask(pipeline, 16, written, std::chrono::steady_clock::now() + 60s);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(written.all.ends_with("15[2] - (1048576)")) << written.all;
}

TEST_F(RedisTls, WhatIsWrongWithACertificateIsSaid) {
  start(certificates_.issue("DNS:localhost", -2h, -1h));
  if (!redis_) return;
  fails(url("localhost"), "bad_store", "has expired");
  start(certificates_.issue("DNS:localhost", 1h, 2h));
  fails(url("localhost"), "bad_store", "not valid yet");
  start(certificates_.issue("DNS:redis.example"));
  fails(url("localhost"), "bad_store", "other names");
  fails(url("127.0.0.1"), "bad_store", "other names");
  start(certificates_.issue("DNS:localhost"));
  fails("rediss://localhost" + at_, "bad_store", "does not know");
  const Certificates others;
  fails("rediss://localhost" + at_ + "?cacert=" + others.authority(), "bad_store", "cacert=FILE");
  fails(url("localhost") + "x", "bad_store", "cannot be read");
}

TEST_F(RedisTls, APortWithoutIt) {
  start(certificates_.issue("DNS:localhost"));
  if (!redis_) return;
  // Redis waits for the end of what it takes for a line.
  fails("rediss://localhost:" + redis_->port(), "store_timeout", "'tls-port'", 200ms);
  const FakeRedis answering_plainly({[](FakePeer& peer) {
    peer.read(1);
    peer.write("-ERR unknown command\r\n");
    peer.read(std::size_t{1} << 20);
  }});
  fails("rediss://localhost:" + answering_plainly.port(), "bad_store", "does not speak TLS");
  const FakeRedis closing({[](FakePeer& peer) { peer.read(1); }});
  fails("rediss://127.0.0.1:" + closing.port(), "store_unavailable", "'tls-port'");
}

TEST_F(RedisTls, AskedWithoutItAServerIsNotUnderstood) {
  start(certificates_.issue("DNS:localhost"));
  if (!redis_) return;
  const auto told = message("redis://localhost" + at_);
  EXPECT_TRUE(told.find("rediss://") != std::string::npos ||
              told.find("was cut") != std::string::npos)
      << told;
  EXPECT_EQ(ask(client_of(url("localhost"))), "0[2] - -") << "both are well";
}

// Whether the server's reason comes or only its end.
TEST_F(RedisTls, AServerThatWantsACertificate) {
  start(certificates_.issue("DNS:localhost"), "yes");
  if (!redis_) return;
  const auto told = message(url("localhost"));
  EXPECT_NE(told.find("'tls-auth-clients'"), std::string::npos) << told;
}

}  // namespace
}  // namespace sluice::clients
