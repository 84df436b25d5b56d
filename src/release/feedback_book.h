// Which requests wait for a reward: by request id, until it comes or its time is over.
//
// Bounded: beyond `most` the oldest are given up first, and counted. Whoever had feedback is
// remembered as long as the others, so that a second one is told apart from an unknown id.
//
// Every second what is new goes to the state store as one piece (a blob), so that feedback that
// comes after a restart still finds its request.
//
// Thread-safety: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/outcome.h"

namespace sluice::release {

// Milliseconds since 1970: what is kept beyond a restart has no other clock.
using WallMillis = std::int64_t;

struct Waiting {
  std::uint32_t arm = 0;
  float probability = 1;
  float share = 0;             // of the second arm, then
  std::uint32_t answered = 0;  // 1: its reward has come
  double prediction = Outcome::kNone;
  WallMillis at = 0;
};

class FeedbackBook {
 public:
  static constexpr std::size_t kMost = 1'000'000;
  static constexpr std::size_t kEntryBytes = 48;  // in `news`

  explicit FeedbackBook(std::size_t arms, std::size_t most = kMost) : most_(most), pending_(arms) {}

  // An id that waits already is left as it is. What comes with a time that has expired already, as
  // where the clock was set back, waits as if it had come at `expired_before()`.
  void add(const RequestKey& id, Waiting waiting);
  // Null: unknown, or given up.
  const Waiting* find(const RequestKey& id) const;
  // Its reward has come. It must be there and not answered.
  void answer(const RequestKey& id);
  // Forgets those from before `before`; answers what waited still, by arrival.
  std::vector<Waiting> expire(WallMillis before);
  // The latest of all `before` that there were; 0: none. It belongs to what is stored: the pieces
  // of `news` do not say what has expired. Whoever restores them all, and expires the book up to
  // it, has what waits now.
  WallMillis expired_before() const { return expired_before_; }

  const std::vector<double>& pending() const { return pending_; }
  std::uint64_t given_up() const { return given_up_; }

  // What is new since it was last forgotten, for storage; empty where nothing is.
  std::string news() const;
  void forget_news() { news_.clear(); }
  // Takes over what waits in another's, whose arm i is here `arms[i]`, or kGone; all of it is news.
  static constexpr std::size_t kGone = ~std::size_t{0};
  void adopt(FeedbackBook& other, const std::vector<std::size_t>& arms);

  // Of another process' life; what cannot be read is skipped.
  void restore(const std::string& news);
  static std::size_t entries(std::string_view news) { return news.size() / kEntryBytes; }
  // When the last of its requests came; 0: it has none.
  static WallMillis newest(std::string_view news);

 private:
  struct Hash {
    std::size_t operator()(const RequestKey& id) const { return id.low; }
  };
  struct Entry {
    RequestKey id;
    Waiting waiting;
  };

  void forget_oldest();

  std::size_t most_;
  std::unordered_map<RequestKey, Waiting, Hash> waiting_;
  std::deque<std::pair<RequestKey, WallMillis>> order_;
  std::vector<double> pending_;
  std::vector<Entry> news_;
  std::uint64_t given_up_ = 0;
  WallMillis expired_before_ = 0;
};

}  // namespace sluice::release
