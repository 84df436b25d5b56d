// A client of Redis that asks, and fakes that answer it.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "clients/redis.h"
#include "clients/testing/fake_redis.h"

namespace sluice::clients {

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

inline std::string command(std::initializer_list<std::string_view> words) {
  std::string out;
  append_redis_command(out, words);
  return out;
}

inline const std::string kAsk = command({"HMGET", "k", "a", "b"});

inline RedisClient client_of(const std::string& url) { return RedisClient(*parse_redis_url(url)); }

// What was told of `commands` HMGETs, or the reason of the error.
inline std::string ask(const RedisClient& client, std::size_t commands = 1,
                       std::chrono::milliseconds patience = std::chrono::seconds(10)) {
  std::string pipeline;
  for (std::size_t i = 0; i < commands; ++i) pipeline += kAsk;
  Written written;
  const auto done =
      client.ask(pipeline, commands, written, std::chrono::steady_clock::now() + patience);
  return done ? written.all : std::string(done.error().reason);
}

// Answers each question for as long as there is a client.
inline FakeScript answering(std::string reply) {
  return [reply = std::move(reply)](FakePeer& peer) {
    while (peer.read(kAsk.size()).size() == kAsk.size()) peer.write(reply);
  };
}

// Answers once and keeps quiet.
inline FakeScript saying(std::string reply) {
  return [reply = std::move(reply)](FakePeer& peer) {
    peer.read(kAsk.size());
    peer.write(reply);
    peer.read(1);
  };
}

inline const std::string kReply = "*2\r\n$1\r\nx\r\n$-1\r\n";

}  // namespace sluice::clients
