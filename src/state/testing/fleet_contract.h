// What the tests of core/fleet.h have in common: each runs over every store that has a Fleet.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "state/testing/fleet_place.h"

namespace sluice::state::testing {

struct FleetKind {
  const char* name;
  // Null where this machine has no such store.
  std::unique_ptr<FleetPlace> (*make)();
};
inline const FleetKind kFleetKinds[] = {{"memory", FleetInMemory::make},
                                        {"redis", FleetInRedis::make}};

inline std::string fleet_kind_name(const ::testing::TestParamInfo<FleetKind>& info) {
  return info.param.name;
}

std::string reason(const auto& answer) { return answer ? "" : std::string(answer.error().reason); }

class FleetContract : public ::testing::TestWithParam<FleetKind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    if (!place_) FAIL() << "this machine has no such store; ./dev setup installs what tests need";
  }
  Member member(const std::string& name) { return {*place_, name}; }
  // The bytes of all events after `place`, "a b c".
  static std::string bytes_of(Member& leader, std::uint64_t token, std::uint64_t place = 0) {
    std::string out;
    while (true) {
      const auto some = leader.fleet().events(token, place);
      EXPECT_TRUE(some) << reason(some);
      if (!some || some->empty()) return out;
      for (const auto& event : *some) {
        EXPECT_GT(event.place, place) << "in order";
        place = event.place;
        out += (out.empty() ? "" : " ") + event.bytes;
      }
    }
  }

  std::unique_ptr<FleetPlace> place_;
};

}  // namespace sluice::state::testing
