// The route of every release: arms with shares of the traffic.
//
// A user stays with the arm of his slot; who is anonymous is dealt one by one, by chance, as is
// everybody where the release is not sticky. An arm whose version is not loaded gives its traffic
// to those that are, in proportion.
//
// Thread-safety: a plan is a plain value; the route is immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/policy.h"
#include "routing/assignment.h"
#include "routing/slot_table.h"

namespace sluice::routing {

struct WeightedPlan {
  std::uint64_t release = 0;
  std::uint32_t epoch = 0;
  std::vector<VersionName> arms;  // 1 to kMostArms
  std::vector<double> shares;     // one an arm; sum to 1
  Assignment assignment = Assignment::kHash;
  // The arm that requests are read for before it is known who gets which, while it has a share:
  // whoever fits it and not another arm is that one's failure, not the client's.
  std::size_t reference = 0;
  bool sticky = true;  // users stay with an arm
  SlotTable slots;     // of sticky hash assignment, made for `shares`
  std::string model;
  std::string salt;
  std::vector<VersionName> shadows;
  double tolerance = 0.01;  // how far apart a shadow's prediction may be and still agree
};

std::shared_ptr<const Route> make_weighted(WeightedPlan plan);

}  // namespace sluice::routing
