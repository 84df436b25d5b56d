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

  // False, and `then` has been told so, when too many wait already.
  bool enter(const std::string& model, const std::string& version, TimePoint deadline,
             OnDemand::Then then);
  // Tells all who wait for this version.
  void tell(const std::string& model, const std::string& version,
            const Result<std::shared_ptr<const Servable>>& result);
  // Tells those whose deadline has passed; answers the next one.
  TimePoint expire(TimePoint now);
  bool anybody_for(const std::string& model, const std::string& version) const;
  // Nobody will be served any more.
  void dismiss(const Error& error);

 private:
  struct Guest {
    TimePoint deadline;
    OnDemand::Then then;
  };
  std::map<std::pair<std::string, std::string>, std::vector<Guest>> guests_;
  std::size_t count_ = 0;
};

}  // namespace sluice::repository
