#include "state/redis_fleet.h"

#include <algorithm>
#include <deque>
#include <span>
#include <string>
#include <utility>

#include "base/text.h"

namespace sluice::state {
namespace {

// Of events that are answered at once.
constexpr std::string_view kBytesAtOnce = "4194304";

Result<void> check_size(std::string_view text, std::string_view what) {
  if (text.size() <= Fleet::kMostText) return {};
  return fail(Code::kResourceExhausted, "too_large",
              std::string(what) + " has " + human_bytes(text.size()) + ", and " +
                  human_bytes(Fleet::kMostText) +
                  " is the most that replicas say at once; say it in parts");
}

// The arguments of a program; numbers become texts, which live as long as this.
class Arguments {
 public:
  Arguments& text(std::string_view text) {
    words_.push_back(text);
    return *this;
  }
  Arguments& number(std::uint64_t number) {
    return text(numbers_.emplace_back(std::to_string(number)));
  }
  Arguments& letters(std::span<const Letter> letters) {
    number(letters.size());
    for (const auto& letter : letters) text(letter.from).text(letter.id).text(letter.text);
    return *this;
  }
  const RedisWords& words() const { return words_; }

 private:
  RedisWords words_;
  std::deque<std::string> numbers_;  // which stay where they are
};

// Takes an answer apart, from its front. What is missing is empty, and `whole` says so at the end.
class Answer {
 public:
  explicit Answer(std::vector<std::string> words) : words_(std::move(words)) {}

  std::string text() { return next_ < words_.size() ? std::move(words_[next_++]) : missing(); }
  std::uint64_t number() {
    const auto value = parse_uint(text());
    broken_ = broken_ || !value;
    return value.value_or(0);
  }
  // A number, and so many of what `read` makes.
  template <class Read>
  auto list(Read read) {
    std::vector<decltype(read())> out;
    for (auto left = number(); left > 0 && !broken_; --left) out.push_back(read());
    return out;
  }
  bool more() const { return next_ < words_.size() && !broken_; }

  Result<void> check() const {
    if (!broken_ && next_ == words_.size()) return {};
    return fail(Code::kDataLoss, "bad_state",
                "what replicas say to each other in Redis cannot be read; another program, or "
                "another version of this one, has written there");
  }

 private:
  std::string missing() {
    broken_ = true;
    return {};
  }

  std::vector<std::string> words_;
  std::size_t next_ = 0;
  bool broken_ = false;
};

Result<void> check_sizes(const BeatSaid& said) {
  SLUICE_CHECK(check_size(said.event, "what has happened on a replica"));
  for (const auto& letter : said.questions) SLUICE_CHECK(check_size(letter.text, "a question"));
  for (const auto& letter : said.answers) SLUICE_CHECK(check_size(letter.text, "an answer"));
  return {};
}

std::chrono::milliseconds milliseconds(std::uint64_t count) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(count));
}

Result<BeatHeard> read_heard(Answer answer) {
  BeatHeard out;
  out.now = static_cast<std::int64_t>(answer.number());
  out.life = answer.text();
  out.leader = answer.text();
  out.token = answer.number();
  out.kept_event = answer.text() == "1";
  const auto letter = [&] { return Letter{answer.text(), answer.text(), answer.text()}; };
  out.published = answer.list([&] {
    return Published{answer.text(), answer.number(), answer.text()};
  });
  out.answers = answer.list(letter);
  out.questions = answer.list(letter);
  out.replicas = answer.list([&] {
    return ReplicaSeen{answer.text(), answer.number(), milliseconds(answer.number())};
  });
  SLUICE_CHECK(answer.check());
  std::ranges::sort(out.replicas, {}, &ReplicaSeen::name);
  return out;
}

std::uint64_t count(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(time.count());
}

}  // namespace

Result<BeatHeard> RedisFleet::beat(const BeatSaid& said) {
  SLUICE_CHECK(check_sizes(said));
  Arguments arguments;
  arguments.text(said.replica).text(said.wants_lease ? "1" : "0");
  arguments.number(said.heard).number(said.sequence).text(said.event);
  arguments.number(count(kLease)).number(count(kGone)).number(count(kLetterKept));
  arguments.number(kMostLetters).number(kMostWaiting);
  arguments.letters(said.questions).letters(said.answers);
  SLUICE_TRY(auto answer, calls_.run(redis_scripts().beat, arguments.words()));
  return read_heard(Answer(std::move(answer)));
}

Result<void> RedisFleet::leave(std::string_view replica) {
  Arguments arguments;
  arguments.text(replica).number(count(kGone));
  SLUICE_CHECK(calls_.run(redis_scripts().leave, arguments.words()));
  return {};
}

Result<std::string> RedisFleet::agree(std::string_view name, std::string_view text) {
  Arguments arguments;
  arguments.text(name).text(text);
  SLUICE_TRY(auto words, calls_.run(redis_scripts().agree, arguments.words()));
  Answer answer(std::move(words));
  auto out = answer.text();
  SLUICE_CHECK(answer.check());
  return out;
}

Result<std::uint64_t> RedisFleet::publish(std::uint64_t token, std::string_view model,
                                          std::string_view text) {
  SLUICE_CHECK(check_size(text, "what a model is to follow"));
  Arguments arguments;
  arguments.number(token).text(model).text(text);
  SLUICE_TRY(auto words, calls_.run_fenced(redis_scripts().publish, arguments.words()));
  Answer answer(std::move(words));
  answer.text();  // "ok"
  const auto number = answer.number();
  SLUICE_CHECK(answer.check());
  return number;
}

Result<std::vector<FleetEvent>> RedisFleet::events(std::uint64_t token, std::uint64_t place) {
  Arguments arguments;
  arguments.number(token).number(place).text(kBytesAtOnce);
  SLUICE_TRY(auto words, calls_.run_fenced(redis_scripts().events, arguments.words()));
  Answer answer(std::move(words));
  answer.text();  // "ok"
  std::vector<FleetEvent> out;
  while (answer.more()) out.push_back({answer.number(), answer.text(), answer.text()});
  SLUICE_CHECK(answer.check());
  return out;
}

Result<void> RedisFleet::forget(std::uint64_t token, std::uint64_t place) {
  Arguments arguments;
  arguments.number(token).number(place);
  SLUICE_CHECK(calls_.run_fenced(redis_scripts().forget_events, arguments.words()));
  return {};
}

}  // namespace sluice::state
