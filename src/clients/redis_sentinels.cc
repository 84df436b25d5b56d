#include "clients/redis_sentinels.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "clients/redis_connection.h"

namespace sluice::clients {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

Failure bad_store(std::string message) {
  return fail(Code::kFailedPrecondition, "bad_store", std::move(message));
}

// The reply to SENTINEL GET-MASTER-ADDR-BY-NAME: a host and a port, or nil.
struct Told : RedisReplies {
  bool list(std::size_t, std::size_t size) override { return size == 2; }
  void text(std::size_t, std::size_t element, std::string_view text) override {
    (element == 0 ? address.host : address.port) = text;
  }
  void nil(std::size_t, std::size_t) override {}
  bool nothing(std::size_t) override { return true; }
  Result<void> refused(std::size_t, std::string_view why) override {
    if (why.starts_with("NOAUTH")) {
      return bad_store(
          "a sentinel of Redis wants a password, and sentinels are asked without; take away its "
          "'requirepass'");
    }
    if (why.starts_with("ERR unknown command")) {
      return bad_store("what is named as a sentinel of Redis is none; look at its port");
    }
    return Failure(redis_refusal(why));
  }

  RedisAddress address;
};

// Nothing: this sentinel does not know it.
Result<std::optional<RedisAddress>> ask(const RedisAddress& sentinel, std::string_view name,
                                        Deadline deadline) {
  RedisUrl url;
  url.host = sentinel.host;
  url.port = sentinel.port;
  SLUICE_TRY(const auto connection, RedisConnection::open(url, deadline));
  std::string command;
  append_redis_command(
      command, std::array<std::string_view, 3>{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name});
  Told told;
  SLUICE_CHECK(connection->exchange(command, 1, told, deadline));
  if (told.address.host.empty() || told.address.port.empty()) return std::nullopt;
  return std::move(told.address);
}

// Of the time that is left, a share each for those who are still to be asked and for Redis itself.
Deadline share(Deadline deadline, std::size_t others) {
  const auto now = std::chrono::steady_clock::now();
  return now + (deadline - now) / static_cast<std::int64_t>(others + 2);
}

// What is told when nobody knows: what is worth most.
void keep_worst(std::optional<Error>& kept, Error error) {
  if (!kept || kept->reason != "bad_store") kept = std::move(error);
}

}  // namespace

Result<RedisUrl> RedisSentinels::primary(Deadline deadline) const {
  const auto count = url_.sentinels.size();
  const auto first = first_.load(std::memory_order_relaxed);
  std::optional<Error> problem;
  for (std::size_t i = 0; i < count; ++i) {
    const auto which = (first + i) % count;
    auto told = ask(url_.sentinels[which], url_.primary, share(deadline, count - i - 1));
    if (!told) {
      auto error = std::move(told).error();
      if (error.reason != "bad_store") {
        error.message = "no sentinel of Redis answers; the last one: " + error.message;
      }
      keep_worst(problem, std::move(error));
    } else if (!*told) {
      keep_worst(problem, bad_store("the sentinels of Redis do not know the primary that the "
                                    "store's URL names; it is called as in 'sentinel monitor'")
                              .error());
    } else {
      first_.store(which, std::memory_order_relaxed);
      auto out = url_;
      out.host = std::move((*told)->host);
      out.port = std::move((*told)->port);
      return out;
    }
  }
  return Failure(*std::move(problem));
}

}  // namespace sluice::clients
