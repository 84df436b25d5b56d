#include "repository/fetch_line.h"

#include <algorithm>

namespace sluice::repository {

FetchLine::Job FetchLine::next(TimePoint now) {
  auto chosen =
      std::ranges::find_if(waiting_, [](const Job& job) { return job->abandoned->load(); });
  if (chosen == waiting_.end() && has_place(now)) chosen = waiting_.begin();
  if (chosen == waiting_.end()) return nullptr;
  Job out = std::move(*chosen);
  waiting_.erase(chosen);
  under_way_.emplace(out.get(), UnderWay{now});
  return out;
}

bool FetchLine::has_place(TimePoint now) const {
  if (under_way_.size() >= kMost) return false;
  const auto taken = std::ranges::count_if(under_way_, [&](const auto& entry) {
    const auto& [since, fetched] = entry.second;
    return fetched || now - since < kLong;
  });
  return static_cast<std::size_t>(taken) < kPlaces;
}

}  // namespace sluice::repository
