// Versions whose files have to be fetched before they can be loaded: which of them when.
//
// A few at a time, in the order in which they came, so that the first are served soon. Each has a
// place until it is loaded: nobody fetches far ahead of the loaders, as what was fetched is kept in
// the cache until then. Only one whose fetching takes long gives its place up, and goes on: nobody
// waits long for a store or for files that are slow, until too many of them are under way.
//
// Thread-safety: of the repository's own thread. No clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>

#include "core/request.h"
#include "repository/version_loader.h"

namespace sluice::repository {

class FetchLine {
 public:
  using Job = std::shared_ptr<LoadJob>;

  static constexpr std::size_t kPlaces = 4;
  static constexpr std::chrono::seconds kLong{2};
  static constexpr std::size_t kMost = 16;

  void enter(Job job) { waiting_.push_back(std::move(job)); }
  // The next whose fetching begins now; null: none. One that nobody wants any more needs no place
  // to be told so.
  Job next(TimePoint now);
  // Its files are here.
  void fetched(const LoadJob& job) { under_way_[&job].fetched = true; }
  // It is loaded, or will not be. Of any job.
  void leave(const LoadJob& job) { under_way_.erase(&job); }
  // Then `next` is to be asked now and then.
  bool anybody_waits() const { return !waiting_.empty(); }

 private:
  struct UnderWay {
    TimePoint since;
    bool fetched = false;
  };
  bool has_place(TimePoint now) const;

  std::deque<Job> waiting_;
  std::map<const LoadJob*, UnderWay> under_way_;
};

}  // namespace sluice::repository
