// One connection to Redis: a socket of ours, whose replies hiredis takes apart.
//
// After an error of the connection itself it is never used again: the reply to one command would be
// taken for that to another.
//
// Thread-safety: one owner.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "clients/redis.h"
#include "clients/redis_socket.h"

struct redisReader;

namespace sluice::clients {

struct RedisExchange;  // what is left of a pipeline

class RedisConnection {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // Connected, with the right user and database. Errors: those of RedisClient::ask.
  static Result<std::unique_ptr<RedisConnection>> open(const RedisUrl& url, Deadline deadline);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // As RedisClient::ask. Writes and reads at the same time: a pipeline and its replies may be
  // larger than what the sockets hold.
  Result<void> exchange(std::string_view pipeline, std::size_t commands, RedisReplies& replies,
                        Deadline deadline);

  // May be asked again.
  bool usable() const { return usable_; }
  // The last exchange ended because the server had closed the connection before its first byte.
  bool closed_unread() const { return closed_ && !received_; }
  // Nothing has come and the other end has not closed, since the last exchange.
  bool quiet() const;

 private:
  explicit RedisConnection(std::unique_ptr<RedisSocket> socket);
  Result<void> greet(const RedisUrl& url, Deadline deadline);
  Result<void> run(RedisExchange& pending, Deadline deadline);
  Result<bool> send_some(RedisExchange& pending);
  Result<bool> receive_some(RedisExchange& pending);
  Result<void> take_apart(std::string_view bytes, RedisExchange& pending);
  Failure lost(Error error, RedisExchange* pending);

  static constexpr std::size_t kReceive = std::size_t{64} << 10;

  const std::unique_ptr<RedisSocket> socket_;
  struct FreeReader {
    void operator()(redisReader* reader) const;
  };
  const std::unique_ptr<redisReader, FreeReader> reader_;
  std::size_t reply_bytes_ = 0;  // that have come of the reply which is not whole
  bool usable_ = true;
  bool received_ = false;  // in the last exchange
  bool closed_ = false;    // by the other end
  std::array<char, kReceive> buffer_;
};

}  // namespace sluice::clients
