#include "state/redis_calls.h"

#include <array>

#include "base/log.h"
#include "base/text.h"

namespace sluice::state {
namespace {

using Clock = std::chrono::steady_clock;

// A command of so many bytes takes a second more.
constexpr std::size_t kBytesPerSecond = std::size_t{16} << 20;

Failure unreachable(std::string message) {
  return unavailable("state_unavailable", std::move(message));
}

// What Redis refuses, in words. The first word of `why` says it, or one within, where an older
// server tells of what a program ran into.
Error refusal(std::string_view why) {
  const auto has = [&](std::string_view word) { return why.find(word) != std::string_view::npos; };
  std::string message;
  if (has("OOM ")) {
    message = "Redis has no memory left for the state; raise its 'maxmemory'";
  } else if (has("READONLY ")) {
    message = "Redis is a copy that takes no writes; name the primary, or its sentinels";
  } else if (has("MISCONF ")) {
    message = "Redis cannot save its data and takes no writes; look at its log and its disk";
  } else if (has("NOREPLICAS ")) {
    message = "Redis has too few copies in step and takes no writes; see 'min-replicas-to-write'";
  } else if (has("NOPERM ")) {
    message =
        "Redis does not let this user work on the state; allow the keys 'sluice:*' and the "
        "commands of scripts, hashes, lists, sorted sets and streams";
  } else if (has("WRONGTYPE ")) {
    message = "another program has written over the state in Redis; give each its own database";
  } else {
    message = clients::redis_refusal(why).message;
  }
  return {Code::kUnavailable, "state_unavailable", std::move(message), {}};
}

// The value of "name:value" in an answer of INFO.
std::string_view info(std::string_view text, std::string_view name) {
  for (const auto line : split(text, '\n')) {
    if (!line.starts_with(name) || line.substr(name.size(), 1) != ":") continue;
    const auto value = line.substr(name.size() + 1);
    return value.ends_with('\r') ? value.substr(0, value.size() - 1) : value;
  }
  return {};
}

}  // namespace

struct RedisCalls::Lists : clients::RedisReplies {
  explicit Lists(std::size_t commands) : all(commands) {}

  bool list(std::size_t reply, std::size_t size) override {
    all[reply].assign(size, std::nullopt);
    return true;
  }
  void text(std::size_t reply, std::size_t element, std::string_view text) override {
    all[reply][element].emplace(text);
  }
  void nil(std::size_t, std::size_t) override {}
  Result<void> refused(std::size_t, std::string_view why) override {
    no_script = why.starts_with("NOSCRIPT");
    if (no_script) return {};
    return Failure(refusal(why));
  }

  std::vector<RedisList> all;
  bool no_script = false;  // Redis does not know the program
};

void RedisCalls::look() {
  Lists lists(1);
  std::string ping;
  // Any command whose answer is a list.
  clients::append_redis_command(
      ping, std::array<std::string_view, 3>{"HMGET", "sluice:{state}:counts", "life"});
  const auto done = send(ping, 1, lists);
  if (done) return;
  log::warn("the state in Redis cannot be used yet: " + done.error().message);
}

Result<std::vector<std::string>> RedisCalls::run(const RedisScript& script,
                                                 const RedisWords& arguments) {
  RedisWords words = {"EVALSHA", script.digest, "1", kPrefix};
  words.insert(words.end(), arguments.begin(), arguments.end());
  Lists lists(1);
  std::string command;
  clients::append_redis_command(command, words);
  SLUICE_CHECK(send(command, 1, lists));
  if (lists.no_script) {
    words[0] = "EVAL";
    words[1] = script.program;
    command.clear();
    clients::append_redis_command(command, words);
    lists = Lists(1);
    SLUICE_CHECK(send(command, 1, lists));
  }
  std::vector<std::string> out;
  out.reserve(lists.all[0].size());
  for (auto& text : lists.all[0]) out.push_back(text ? *std::move(text) : std::string());
  return out;
}

Result<std::vector<std::string>> RedisCalls::run_fenced(const RedisScript& script,
                                                        const RedisWords& arguments) {
  SLUICE_TRY(auto out, run(script, arguments));
  if (out.empty()) return unreachable("Redis answers nothing to a program of the state");
  if (out[0] == "fenced") {
    return fail(
        Code::kAborted, "fenced",
        "its lease is over, or was lost with the data of Redis; what it decided is not written");
  }
  return out;
}

Result<std::vector<RedisList>> RedisCalls::ask(std::span<const RedisWords> commands) {
  std::string pipeline;
  for (const auto& words : commands) clients::append_redis_command(pipeline, words);
  Lists lists(commands.size());
  SLUICE_CHECK(send(pipeline, commands.size(), lists));
  return std::move(lists.all);
}

Result<void> RedisCalls::send(std::string_view pipeline, std::size_t commands, Lists& lists) {
  SLUICE_CHECK(send_once(pipeline, commands, lists));
  if (!looked_.exchange(true)) examine();
  return {};
}

Result<void> RedisCalls::send_once(std::string_view pipeline, std::size_t commands, Lists& lists) {
  if (auto cause = paused_for()) return unreachable(*std::move(cause));
  const auto more = std::chrono::milliseconds(1000 * pipeline.size() / kBytesPerSecond);
  auto done = client_.ask(pipeline, commands, lists, Clock::now() + kPatience + more);
  if (done) return done;
  // What Redis itself has answered; it is there.
  if (done.error().reason == "state_unavailable") return done;
  pause(done.error().message);
  return unreachable(std::move(done.error().message));
}

void RedisCalls::pause(const std::string& cause) {
  const std::lock_guard lock(mutex_);
  paused_until_ = Clock::now() + kPause;
  cause_ = cause;
}

std::optional<std::string> RedisCalls::paused_for() const {
  const std::lock_guard lock(mutex_);
  if (Clock::now() >= paused_until_) return std::nullopt;
  return cause_;
}

void RedisCalls::examine() {
  const auto answer = run(redis_scripts().look, {});
  if (!answer || answer->size() != 2) return;  // this user may not ask
  const auto policy = info((*answer)[0], "maxmemory_policy");
  if (info((*answer)[0], "maxmemory") != "0" && !policy.empty() && policy != "noeviction") {
    log::warn("Redis removes data when its memory is full (maxmemory-policy " + printable(policy) +
              "), and with it releases and what they have measured; set it to noeviction");
  }
  if (info((*answer)[1], "role") == "slave") {
    log::warn(
        "Redis is a copy that takes no writes, so no release can be run; name the primary, or its "
        "sentinels");
  }
}

}  // namespace sluice::state
