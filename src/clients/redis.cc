#include "clients/redis.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "clients/http.h"
#include "clients/redis_connection.h"

namespace sluice::clients {
namespace {

Failure bad_url(std::string_view why) {
  return invalid("bad_store_url", std::string(why) +
                                      "; write redis://[user:password@]host[:port][/database], "
                                      "with what is special in a password percent-encoded");
}

Result<void> read_user(std::string_view text, RedisUrl& out) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) {
    return bad_url("the URL of Redis has a user without a password");
  }
  out.user = percent_decode(text.substr(0, colon));
  out.password = percent_decode(text.substr(colon + 1));
  return {};
}

Result<void> read_host(std::string_view text, RedisUrl& out) {
  const auto colon = text.rfind(':');
  if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos) {
    const auto port = parse_int(text.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) {
      return bad_url("the URL of Redis has a port that is not a number from 1 to 65535");
    }
    out.port = std::to_string(*port);
    text = text.substr(0, colon);
  }
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  if (text.empty()) return bad_url("the URL of Redis has no host");
  out.host = text;
  return {};
}

Result<void> read_database(std::string_view text, RedisUrl& out) {
  if (text.empty()) return {};
  const auto database = parse_int(text);
  if (!database || *database < 0) {
    return bad_url("the URL of Redis has a database that is not a number from 0 on");
  }
  out.database = *database;
  return {};
}

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

Result<RedisUrl> parse_redis_url(std::string_view text) {
  if (text.starts_with("rediss:")) {
    return bad_url(
        "Redis is not spoken to over TLS yet: put a TLS tunnel on this machine in front");
  }
  constexpr std::string_view kScheme = "redis://";
  if (!text.starts_with(kScheme)) return bad_url("the URL of Redis does not start with redis://");
  text.remove_prefix(kScheme.size());
  if (text.find_first_of("?#") != std::string_view::npos) {
    return bad_url("the URL of Redis has a '?' or '#' in it");
  }
  RedisUrl out;
  if (const auto at = text.rfind('@'); at != std::string_view::npos) {
    SLUICE_CHECK(read_user(text.substr(0, at), out));
    text.remove_prefix(at + 1);
  }
  const auto slash = text.find('/');
  SLUICE_CHECK(read_host(text.substr(0, slash), out));
  if (slash != std::string_view::npos) SLUICE_CHECK(read_database(text.substr(slash + 1), out));
  return out;
}

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
    return wrong("Redis wants a password; write it into the store's URL");
  }
  if (word == "WRONGPASS") {
    return wrong("Redis does not take the user or password of the store's URL");
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

RedisClient::RedisClient(RedisUrl url) : url_(std::move(url)) {}
RedisClient::~RedisClient() = default;

Result<void> RedisClient::ask(std::string_view pipeline, std::size_t commands,
                              RedisReplies& replies,
                              std::chrono::steady_clock::time_point deadline) const {
  if (commands == 0) return {};
  if (auto idle = take_idle()) {
    auto done = idle->exchange(pipeline, commands, replies, deadline);
    const bool closed = !done && idle->closed_unread();
    give_back(std::move(idle));
    // A server ends connections that are idle for long, or has been started anew.
    if (!closed) return done;
  }
  SLUICE_TRY(auto connection, RedisConnection::open(url_, deadline));
  auto done = connection->exchange(pipeline, commands, replies, deadline);
  give_back(std::move(connection));
  return done;
}

// The one that was used last; those that the server has closed are thrown away.
std::unique_ptr<RedisConnection> RedisClient::take_idle() const {
  const std::lock_guard lock(mutex_);
  while (!idle_.empty()) {
    auto out = std::move(idle_.back());
    idle_.pop_back();
    if (out->quiet()) return out;
  }
  return nullptr;
}

void RedisClient::give_back(std::unique_ptr<RedisConnection> connection) const {
  if (!connection->usable()) return;
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(connection));
}

}  // namespace sluice::clients
