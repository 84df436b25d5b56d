// Those who wait for a version to be loaded: a thousand may ask, it is loaded once.
//
// Thread-safety: of the repository's own thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "core/on_demand.h"

namespace sluice::repository {

class WaitingRoom {
 public:
  static constexpr std::size_t kMost = 10'000;

  struct Guest {
    TimePoint deadline;
    bool any_version;  // an older one would do as well
    OnDemand::Then then;
  };

  // Where too many wait already, the guest is told so.
  void enter(const std::string& model, const std::string& version, Guest guest);
  bool anybody_for(const std::string& model, const std::string& version) const;
  // Those who wait for this version, who are now the caller's to tell.
  std::vector<Guest> take(const std::string& model, const std::string& version);
  // Tells those whose deadline has passed; answers the next one.
  TimePoint expire(TimePoint now);
  // Nobody will be served any more.
  void dismiss(const Error& error);

 private:
  std::map<std::pair<std::string, std::string>, std::vector<Guest>> guests_;
  std::size_t count_ = 0;
};

}  // namespace sluice::repository
