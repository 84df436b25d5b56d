#include "repository/waiting_room.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/servable.h"

namespace sluice::repository {
namespace {

using namespace std::chrono_literals;

const TimePoint kNow = TimePoint() + 1h;
constexpr auto kForever = TimePoint::max();

// Guests note what they are told, in order.
struct Fixture {
  void enter(const std::string& name, TimePoint deadline = kForever, const std::string& model = "m",
             const std::string& version = "1") {
    room.enter(
        model, version,
        {deadline, false, [this, name](auto result) {
           told.push_back(name + ": " + (result ? "loaded" : std::string(result.error().reason)));
         }});
  }
  // Whoever takes them tells them.
  void tell(const std::string& model, const std::string& version) {
    for (auto& guest : room.take(model, version)) guest.then(kLoaded);
  }
  std::vector<std::string> take() { return std::exchange(told, {}); }

  static inline const Result<std::shared_ptr<const Servable>> kLoaded =
      std::shared_ptr<const Servable>();
  std::vector<std::string> told;
  WaitingRoom room;
};

using Told = std::vector<std::string>;

TEST(WaitingRoom, AllWhoWaitAreToldOnce) {
  Fixture fixture;
  fixture.enter("a");
  fixture.enter("b");
  EXPECT_EQ(fixture.take(), Told{}) << "not before it is loaded";
  fixture.tell("m", "1");
  EXPECT_EQ(fixture.take(), (Told{"a: loaded", "b: loaded"}));
  fixture.tell("m", "1");
  EXPECT_EQ(fixture.take(), Told{});
}

TEST(WaitingRoom, OnlyThoseOfTheVersion) {
  Fixture fixture;
  fixture.enter("a");
  fixture.enter("b", kForever, "m", "2");
  fixture.enter("c", kForever, "n", "1");
  EXPECT_TRUE(fixture.room.anybody_for("m", "2"));
  EXPECT_FALSE(fixture.room.anybody_for("n", "2"));
  fixture.tell("m", "2");
  EXPECT_EQ(fixture.take(), Told{"b: loaded"});
  EXPECT_FALSE(fixture.room.anybody_for("m", "2"));
  EXPECT_TRUE(fixture.room.anybody_for("m", "1"));
  fixture.tell("x", "1");
  EXPECT_EQ(fixture.take(), Told{});
}

TEST(WaitingRoom, WhoseDeadlineHasPassedIsTold) {
  Fixture fixture;
  fixture.enter("late", kNow - 1ms);
  fixture.enter("now", kNow);
  fixture.enter("later", kNow + 2s);
  fixture.enter("elsewhere", kNow + 1s, "n");
  fixture.enter("patient");
  EXPECT_EQ(fixture.room.expire(kNow), kNow + 1s) << "the next one";
  EXPECT_EQ(fixture.take(), (Told{"late: deadline", "now: deadline"}));
  EXPECT_EQ(fixture.room.expire(kNow + 1s), kNow + 2s);
  EXPECT_EQ(fixture.take(), Told{"elsewhere: deadline"});
  EXPECT_FALSE(fixture.room.anybody_for("n", "1"));
  EXPECT_EQ(fixture.room.expire(kNow + 2s), kForever);
  EXPECT_EQ(fixture.take(), Told{"later: deadline"});
  fixture.tell("m", "1");
  EXPECT_EQ(fixture.take(), Told{"patient: loaded"});
  EXPECT_EQ(fixture.room.expire(kForever), kForever) << "nobody is left";
}

TEST(WaitingRoom, WhoIsTakenIsWhole) {
  WaitingRoom room;
  room.enter("m", "1", {kNow, true, [](auto) {}});
  room.enter("m", "1", {kForever, false, [](auto) {}});
  const auto guests = room.take("m", "1");
  ASSERT_EQ(guests.size(), 2U);
  EXPECT_EQ(guests[0].deadline, kNow);
  EXPECT_TRUE(guests[0].any_version);
  EXPECT_EQ(guests[1].deadline, kForever);
  EXPECT_FALSE(guests[1].any_version);
}

TEST(WaitingRoom, HoldsSoManyAndNoMore) {
  Fixture fixture;
  for (std::size_t i = 0; i < WaitingRoom::kMost; ++i) {
    fixture.enter("a", i % 2 == 0 ? kNow : kForever);
  }
  EXPECT_EQ(fixture.take(), Told{});
  fixture.enter("b", kForever, "n");
  EXPECT_EQ(fixture.take(), Told{"b: queue_full"});
  EXPECT_FALSE(fixture.room.anybody_for("n", "1"));
  // Those who leave make room, by whichever way.
  fixture.room.expire(kNow);
  EXPECT_EQ(fixture.take().size(), WaitingRoom::kMost / 2);
  for (std::size_t i = 0; i < WaitingRoom::kMost / 2; ++i) fixture.enter("c");
  EXPECT_EQ(fixture.take(), Told{});
  fixture.enter("d");
  EXPECT_EQ(fixture.take(), Told{"d: queue_full"});
  EXPECT_EQ(fixture.room.take("m", "1").size(), WaitingRoom::kMost);
  fixture.enter("e");
  EXPECT_EQ(fixture.take(), Told{});
}

TEST(WaitingRoom, IsDismissed) {
  Fixture fixture;
  fixture.enter("a");
  fixture.enter("b", kForever, "n");
  fixture.room.dismiss({Code::kUnavailable, "draining", "the server is shutting down", {}});
  EXPECT_EQ(fixture.take(), (Told{"a: draining", "b: draining"}));
  EXPECT_FALSE(fixture.room.anybody_for("m", "1"));
  fixture.enter("c");
  fixture.tell("m", "1");
  EXPECT_EQ(fixture.take(), Told{"c: loaded"});
}

}  // namespace
}  // namespace sluice::repository
