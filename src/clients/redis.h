// Redis, and what speaks its protocol (RESP 2): pipelines of commands to one server.
//
// A connection is made at its first use, kept, and made anew after an error; where the URL names
// sentinels, they are asked for the primary each time. There are as many as threads ask at the same
// time. Nothing of clusters.
//
// Thread-safety: any number of threads may share a client; each call has a connection of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "clients/redis_url.h"

namespace sluice::clients {

// Takes the replies to a pipeline, in the order of its commands; texts are gone when a call is
// over.
class RedisReplies {
 public:
  virtual ~RedisReplies() = default;
  // A list, whose elements follow: texts and nils. False: that is not what was asked for.
  virtual bool list(std::size_t reply, std::size_t size) = 0;
  virtual void text(std::size_t reply, std::size_t element, std::string_view text) = 0;
  virtual void nil(std::size_t reply, std::size_t element) = 0;
  // The command is refused; `why` begins with a word such as WRONGTYPE. The first error that is
  // returned is that of the whole call, after all replies.
  virtual Result<void> refused(std::size_t reply, std::string_view why) = 0;
  // "OK", to commands without a value.
  virtual bool status(std::size_t reply, std::string_view text) {
    (void)reply, (void)text;
    return false;
  }
  // Nil where a list, or anything else, could have been.
  virtual bool nothing(std::size_t reply) {
    (void)reply;
    return false;
  }
  // A list's element that is a number or a list; of neither more is told.
  virtual bool other(std::size_t reply, std::size_t element) {
    (void)reply, (void)element;
    return false;
  }
};

// What a refusal is as an error of a store. `why` itself is not shown: it can have addresses in it.
Error redis_refusal(std::string_view why);

// A command as it goes over the wire, appended to a pipeline.
void append_redis_command(std::string& pipeline, std::span<const std::string_view> words);

// HMGET of the same fields of many hashes: written once, but for the key.
class RedisHmget {
 public:
  explicit RedisHmget(std::span<const std::string> fields);

  void append(std::string& pipeline, std::string_view key) const;
  // About, of one.
  std::size_t bytes() const { return head_.size() + tail_.size() + 64; }

 private:
  std::string head_;
  std::string tail_;
};

class RedisConnection;
class RedisSentinels;

class RedisClient {
 public:
  explicit RedisClient(RedisUrl url);
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  // Sends `pipeline`, which has `commands` commands, and hands their replies to `replies`. Blocks
  // until `deadline` at most; only where the host is a name the system's resolver takes its own
  // time. Errors: kUnavailable/`store_unavailable`, kDeadlineExceeded/`store_timeout`,
  // kFailedPrecondition/`bad_store` (what answers is no Redis, a reply of more than 64 MiB), and
  // those of `replies`. After an error some replies may have been handed over.
  Result<void> ask(std::string_view pipeline, std::size_t commands, RedisReplies& replies,
                   std::chrono::steady_clock::time_point deadline) const;

  static constexpr std::size_t kMostReplyBytes = std::size_t{64} << 20;

 private:
  struct Taken;

  Result<Taken> connect(std::chrono::steady_clock::time_point deadline) const;
  Taken take_idle() const;
  void give_back(Taken taken) const;

  const RedisUrl url_;
  const std::unique_ptr<const RedisSentinels> sentinels_;  // null: there are none
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<RedisConnection>> idle_;  // guarded by mutex_
  // Of connections; a new one begins when one has failed, and those of older ones are not kept.
  mutable std::uint64_t generation_ = 0;  // guarded by mutex_
};

}  // namespace sluice::clients
