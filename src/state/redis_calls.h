// Calls of Redis as the state makes them: one at a time, each within its time, and none to a server
// that has just not answered.
//
// Errors: kUnavailable/`state_unavailable` for all that can go wrong here; kAborted/`fenced`.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "clients/redis.h"
#include "state/redis_scripts.h"

namespace sluice::state {

using RedisWords = std::vector<std::string_view>;
// Nothing: nil.
using RedisList = std::vector<std::optional<std::string>>;

class RedisCalls {
 public:
  // For a call; what it sends takes its time beside.
  static constexpr std::chrono::milliseconds kPatience{500};
  // After a failure nobody waits for the server again for so long.
  static constexpr std::chrono::milliseconds kPause{200};
  // Of all keys; the braces keep them together.
  static constexpr std::string_view kPrefix = "sluice:{state}:";

  explicit RedisCalls(clients::RedisUrl url) : client_(std::move(url)) {}

  // Looks whether the server fits and warns in the log; where it cannot be reached, the first call
  // that reaches it looks.
  void look();

  // What the program answers.
  Result<std::vector<std::string>> run(const RedisScript& script, const RedisWords& arguments);
  // Of a program that may answer "fenced", which is an error then; "ok" or "conflict" is in front.
  Result<std::vector<std::string>> run_fenced(const RedisScript& script,
                                              const RedisWords& arguments);
  // One command each, whose answers are lists.
  Result<std::vector<RedisList>> ask(std::span<const RedisWords> commands);

 private:
  struct Lists;

  Result<void> send(std::string_view pipeline, std::size_t commands, Lists& lists);
  Result<void> send_once(std::string_view pipeline, std::size_t commands, Lists& lists);
  void pause(const std::string& cause);
  // Why the server is not asked at the moment; nothing: it may be.
  std::optional<std::string> paused_for() const;
  void examine();

  const clients::RedisClient client_;
  mutable std::mutex mutex_;
  std::chrono::steady_clock::time_point paused_until_{};  // guarded by mutex_
  std::string cause_;                                     // guarded by mutex_
  std::atomic<bool> looked_ = false;
};

}  // namespace sluice::state
