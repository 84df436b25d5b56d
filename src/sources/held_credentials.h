// What lets one into a store, for as long as it does: asked for again five minutes before it
// expires. Where that fails it goes on until it does, and is asked for again every ten seconds. Who
// had some is not anonymous afterwards, whatever the metadata service says.
//
// Thread-safety: any number of threads; one of them asks, and the others wait for it.
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"

namespace sluice::sources {

// `T::left`: how long it is still valid, below zero where it has expired; nothing where it never
// will.
template <class T>
class HeldCredentials {
 public:
  using Found = Result<std::optional<T>>;  // nothing: anonymous

  // `expired`: what to say where there were some, and none are given any more.
  explicit HeldCredentials(std::string expired) : expired_(std::move(expired)) {}

  // `look()`, a Found, is where they come from. Errors: its own, while nothing is held that is
  // valid; kUnavailable/`bad_credentials` where what was held has expired and it finds nothing.
  template <class Look>
  Found get(const Look& look) {
    const std::lock_guard lock(mutex_);
    if (!is_fresh() && Clock::now() >= ask_after_) take(look());
    if (failure_ && !is_valid()) return Failure(*failure_);
    return held_;
  }

  // They may be others by now (a file was written): the next `get` asks. Where that finds none,
  // those that are held and valid stay.
  void renew() {
    const std::lock_guard lock(mutex_);
    renewed_ = true;
    ask_after_ = {};
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::minutes kBeforeExpiry{5};
  // A machine that had none may be given some.
  static constexpr std::chrono::minutes kAskAgain{5};
  // After a failure, while what is held is valid: a service that does not answer costs whoever asks
  // a second, for which all others wait.
  static constexpr std::chrono::seconds kAskSoon{10};
  // And where it is not valid any more: nothing works until there are others.
  static constexpr std::chrono::seconds kAskNext{1};

  bool is_fresh() const {
    if (renewed_) return false;
    if (!held_) return known_ && Clock::now() - looked_ < kAskAgain;
    const auto left = held_->left();
    return !left || *left > kBeforeExpiry;
  }
  bool is_valid() const {
    return held_ && held_->left().value_or(kBeforeExpiry) > std::chrono::nanoseconds(0);
  }

  // A metadata service that does not answer looks like none. Where it has answered before, it is
  // one that cannot be reached: what is not signed would be refused by the store.
  void take(Found found) {
    const auto now = Clock::now();
    if (!found || (held_ && !*found)) {
      failure_ = found ? Error{Code::kUnavailable, "bad_credentials", expired_, {}}
                       : std::move(found).error();
      if (held_) ask_after_ = now + (is_valid() ? kAskSoon : kAskNext);
      return;
    }
    failure_.reset();
    renewed_ = false;
    held_ = *std::move(found);
    known_ = true;
    looked_ = now;
    // Some are given for less than those five minutes: not asked for again by each request.
    if (held_ && !is_fresh()) {
      ask_after_ = now + std::clamp<std::chrono::nanoseconds>(*held_->left(), {}, kAskSoon);
    }
  }

  const std::string expired_;
  std::mutex mutex_;
  // All guarded by mutex_.
  bool known_ = false;
  bool renewed_ = false;
  std::optional<T> held_;
  std::optional<Error> failure_;  // of the last look
  Clock::time_point looked_{};    // successfully
  Clock::time_point ask_after_{};
};

}  // namespace sluice::sources
