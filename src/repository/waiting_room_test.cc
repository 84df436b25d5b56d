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
  // False: it was turned away.
  bool enter(const std::string& name, TimePoint deadline = kForever, const std::string& model = "m",
             const std::string& version = "1") {
    const auto before = told.size();
    room.enter(
        model, version,
        {deadline, false, [this, name](auto result) {
           told.push_back(name + ": " + (result ? "loaded" : std::string(result.error().reason)));
         }});
    return told.size() == before;
  }
  void tell(const std::string& model, const std::string& version,
            const Result<std::shared_ptr<const Servable>>& result) {
    for (auto& guest : room.take(model, version)) guest.then(result);
  }
  std::vector<std::string> take() { return std::exchange(told, {}); }

  std::vector<std::string> told;
  WaitingRoom room;
};

using Told = std::vector<std::string>;
const Result<std::shared_ptr<const Servable>> kLoaded = std::shared_ptr<const Servable>();

TEST(WaitingRoom, AllWhoWaitAreToldOnce) {
  Fixture fixture;
  EXPECT_TRUE(fixture.enter("a"));
  EXPECT_TRUE(fixture.enter("b"));
  EXPECT_EQ(fixture.take(), Told{}) << "not before it is loaded";
  fixture.tell("m", "1", kLoaded);
  EXPECT_EQ(fixture.take(), (Told{"a: loaded", "b: loaded"}));
  fixture.tell("m", "1", kLoaded);
  EXPECT_EQ(fixture.take(), Told{});
}

TEST(WaitingRoom, OnlyThoseOfTheVersion) {
  Fixture fixture;
  fixture.enter("a");
  fixture.enter("b", kForever, "m", "2");
  fixture.enter("c", kForever, "n", "1");
  EXPECT_TRUE(fixture.room.anybody_for("m", "2"));
  EXPECT_FALSE(fixture.room.anybody_for("n", "2"));
  fixture.tell("m", "2", unavailable("model_failed", "it is broken"));
  EXPECT_EQ(fixture.take(), Told{"b: model_failed"});
  EXPECT_FALSE(fixture.room.anybody_for("m", "2"));
  EXPECT_TRUE(fixture.room.anybody_for("m", "1"));
  fixture.tell("x", "1", kLoaded);
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
  fixture.tell("m", "1", kLoaded);
  EXPECT_EQ(fixture.take(), Told{"patient: loaded"});
  EXPECT_EQ(fixture.room.expire(kForever), kForever) << "nobody is left";
}

TEST(WaitingRoom, HoldsSoManyAndNoMore) {
  Fixture fixture;
  for (std::size_t i = 0; i < WaitingRoom::kMost; ++i) {
    ASSERT_TRUE(fixture.enter("a", i % 2 == 0 ? kNow : kForever));
  }
  EXPECT_FALSE(fixture.enter("b", kForever, "n"));
  EXPECT_EQ(fixture.take(), Told{"b: queue_full"});
  EXPECT_FALSE(fixture.room.anybody_for("n", "1"));
  // Those who leave make room, by whichever way.
  fixture.room.expire(kNow);
  EXPECT_EQ(fixture.take().size(), WaitingRoom::kMost / 2);
  for (std::size_t i = 0; i < WaitingRoom::kMost / 2; ++i) ASSERT_TRUE(fixture.enter("c"));
  EXPECT_FALSE(fixture.enter("d"));
  fixture.tell("m", "1", kLoaded);
  EXPECT_TRUE(fixture.enter("e"));
}

TEST(WaitingRoom, IsDismissed) {
  Fixture fixture;
  fixture.enter("a");
  fixture.enter("b", kForever, "n");
  fixture.room.dismiss({Code::kUnavailable, "draining", "the server is shutting down", {}});
  EXPECT_EQ(fixture.take(), (Told{"a: draining", "b: draining"}));
  EXPECT_FALSE(fixture.room.anybody_for("m", "1"));
  EXPECT_TRUE(fixture.enter("c"));
  fixture.tell("m", "1", kLoaded);
  EXPECT_EQ(fixture.take(), Told{"c: loaded"});
}

}  // namespace
}  // namespace sluice::repository
