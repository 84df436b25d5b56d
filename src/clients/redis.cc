#include "clients/redis.h"

#include <algorithm>
#include <charconv>

#include "clients/redis_connection.h"
#include "clients/redis_sentinels.h"

namespace sluice::clients {
namespace {

// A refusal's first word, where it is one of Redis's: in capitals.
std::string_view first_word(std::string_view why) {
  const auto word = why.substr(0, why.find(' '));
  const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  return word.size() <= 16 && std::ranges::all_of(word, capital) ? word : std::string_view("ERR");
}

bool one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

void append_word(std::string& pipeline, std::string_view word) {
  char digits[24] = "$";
  const auto end = std::to_chars(digits + 1, digits + sizeof(digits), word.size()).ptr;
  pipeline.append(digits, static_cast<std::size_t>(end - digits));
  pipeline += "\r\n";
  pipeline += word;
  pipeline += "\r\n";
}

}  // namespace

Error redis_refusal(std::string_view why) {
  constexpr std::string_view kPassing[] = {"MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"};
  const auto word = first_word(why);
  const auto wrong = [](std::string message) {
    return Error{Code::kFailedPrecondition, "bad_store", std::move(message), {}};
  };
  const auto later = [](std::string message) {
    return Error{Code::kUnavailable, "store_unavailable", std::move(message), {}};
  };
  if (word == "LOADING") return later("Redis is still loading its data; try again later");
  if (word == "BUSY") return later("Redis is busy with a script; try again later");
  if (one_of(word, kPassing)) return later("Redis has no data at the moment; try again later");
  if (why.starts_with("ERR max number of clients")) {
    return later("Redis has as many clients as it takes; raise its 'maxclients'");
  }
  if (word == "NOAUTH") {
    return wrong("Redis wants a password; write it into its URL, redis://:password@host");
  }
  if (word == "WRONGPASS") {
    return wrong("Redis does not take the user or password of its URL");
  }
  if (word == "NOPERM") {
    return wrong("Redis does not let this user read; allow HMGET and HGETALL for these keys");
  }
  if (word == "MOVED" || word == "ASK") {
    return wrong("Redis is a cluster, which is not supported; name a server that has every key");
  }
  if (word == "WRONGTYPE") return wrong("what Redis has under this key is not a hash");
  return wrong("Redis refuses the command (" + std::string(word) + ")");
}

void append_redis_command(std::string& pipeline, std::span<const std::string_view> words) {
  pipeline += '*';
  pipeline += std::to_string(words.size());
  pipeline += "\r\n";
  for (const auto word : words) append_word(pipeline, word);
}

RedisHmget::RedisHmget(std::span<const std::string> fields)
    : head_("*" + std::to_string(fields.size() + 2) + "\r\n") {
  append_word(head_, "HMGET");
  for (const auto& field : fields) append_word(tail_, field);
}

void RedisHmget::append(std::string& pipeline, std::string_view key) const {
  pipeline += head_;
  append_word(pipeline, key);
  pipeline += tail_;
}

struct RedisClient::Taken {
  std::unique_ptr<RedisConnection> connection;
  std::uint64_t generation = 0;
};

RedisClient::RedisClient(RedisUrl url)
    : url_(std::move(url)),
      sentinels_(url_.sentinels.empty() ? nullptr : std::make_unique<const RedisSentinels>(url_)) {}
RedisClient::~RedisClient() = default;

Result<void> RedisClient::ask(std::string_view pipeline, std::size_t commands,
                              RedisReplies& replies,
                              std::chrono::steady_clock::time_point deadline) const {
  if (commands == 0) return {};
  if (auto idle = take_idle(); idle.connection) {
    auto done = idle.connection->exchange(pipeline, commands, replies, deadline);
    const bool closed = !done && idle.connection->closed_unread();
    give_back(std::move(idle));
    // A server ends connections that are idle for long, or has been started anew.
    if (!closed) return done;
  }
  SLUICE_TRY(auto made, connect(deadline));
  auto done = made.connection->exchange(pipeline, commands, replies, deadline);
  give_back(std::move(made));
  return done;
}

Result<RedisClient::Taken> RedisClient::connect(
    std::chrono::steady_clock::time_point deadline) const {
  Taken out;
  {
    const std::lock_guard lock(mutex_);
    out.generation = generation_;
  }
  if (sentinels_) {
    SLUICE_TRY(const auto primary, sentinels_->primary(deadline));
    SLUICE_TRY(out.connection, RedisConnection::open(primary, deadline));
  } else {
    SLUICE_TRY(out.connection, RedisConnection::open(url_, deadline));
  }
  return out;
}

// The one that was used last; those that the server has closed are thrown away.
RedisClient::Taken RedisClient::take_idle() const {
  const std::lock_guard lock(mutex_);
  while (!idle_.empty()) {
    auto out = std::move(idle_.back());
    idle_.pop_back();
    if (out->quiet()) return {std::move(out), generation_};
  }
  return {nullptr, generation_};
}

void RedisClient::give_back(Taken taken) const {
  const std::lock_guard lock(mutex_);
  if (taken.generation != generation_) return;
  if (taken.connection->usable()) {
    idle_.push_back(std::move(taken.connection));
  } else if (sentinels_) {
    // The others go to the same server; another one may be the primary now.
    ++generation_;
    idle_.clear();
  }
}

}  // namespace sluice::clients
