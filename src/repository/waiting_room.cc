#include "repository/waiting_room.h"

#include <algorithm>
#include <utility>

namespace sluice::repository {

void WaitingRoom::enter(const std::string& model, const std::string& version, Guest guest) {
  if (count_ >= kMost) {
    return guest.then(unavailable(
        "queue_full", "too many requests wait for models to be loaded; try again later"));
  }
  guests_[{model, version}].push_back(std::move(guest));
  ++count_;
}

std::vector<WaitingRoom::Guest> WaitingRoom::take(const std::string& model,
                                                  const std::string& version) {
  auto found = guests_.extract(std::pair(model, version));
  if (found.empty()) return {};
  count_ -= found.mapped().size();
  return std::move(found.mapped());
}

bool WaitingRoom::anybody_for(const std::string& model, const std::string& version) const {
  const auto found = guests_.find(std::pair(model, version));
  return found != guests_.end() && !found->second.empty();
}

TimePoint WaitingRoom::expire(TimePoint now) {
  auto next = TimePoint::max();
  for (auto& [key, guests] : guests_) {
    const auto late = std::ranges::stable_partition(
        guests, [&](const Guest& guest) { return guest.deadline > now; });
    for (auto& guest : late) {
      guest.then(fail(Code::kDeadlineExceeded, "deadline",
                      "the deadline passed while the model was being loaded"));
    }
    count_ -= late.size();
    guests.erase(late.begin(), late.end());
    for (const auto& guest : guests) next = std::min(next, guest.deadline);
  }
  return next;
}

void WaitingRoom::dismiss(const Error& error) {
  for (auto& [key, guests] : std::exchange(guests_, {})) {
    for (auto& guest : guests) guest.then(Failure(error));
  }
  count_ = 0;
}

}  // namespace sluice::repository
