// Asks sentinels which server is the primary at the moment.
//
// As https://redis.io/docs/latest/develop/reference/sentinel-clients/ wants it of clients: one
// after the other until one answers, who is asked first the next time. What they answer is not
// kept: whoever connects asks.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>

#include "base/error.h"
#include "clients/redis_url.h"

namespace sluice::clients {

class RedisSentinels {
 public:
  // `url` has sentinels.
  explicit RedisSentinels(RedisUrl url) : url_(std::move(url)) {}

  // `url` with the host and port that a sentinel has told. A sentinel that does not answer is
  // waited for its share of the time that is left, so that the others are asked too. Errors:
  // kUnavailable/`store_unavailable`, kDeadlineExceeded/`store_timeout`: none answers;
  // kFailedPrecondition/`bad_store`: none of those that answer knows it, or they want a password.
  Result<RedisUrl> primary(std::chrono::steady_clock::time_point deadline) const;

 private:
  const RedisUrl url_;
  mutable std::atomic<std::size_t> first_ = 0;  // who answered last
};

}  // namespace sluice::clients
