#include <gtest/gtest.h>

#include "serving/testing/batchers.h"

namespace sluice::serving {
namespace {

using namespace testing;
using Fixture = BatcherFixture;

// A model that takes 2 ms and is known to, one row at a time; one request runs, five wait.
struct Busy : Fixture {
  Busy() : Fixture(options(), {.takes = 2ms}) {
    EXPECT_TRUE(doubling.execution->warm_up());
    occupy();
    for (int i = 1; i <= 5; ++i) push(static_cast<float>(i));
  }
  static BatcherOptions options() {
    auto out = eager(1);
    out.max_queue = 7;
    return out;
  }
  std::string verdict(TimePoint deadline) const {
    const auto admitted = batcher.admit(deadline);
    if (admitted) return "welcome";
    EXPECT_EQ(admitted.error().code, Code::kUnavailable);
    return std::string(admitted.error().reason);
  }
};

TEST(Admission, WhoWouldBeLateIsRefused) {
  const Busy busy;
  // At least five runs and its own are before the answer.
  EXPECT_EQ(busy.verdict(Clock::now() + 11ms), "overloaded");
  EXPECT_EQ(busy.verdict(Clock::now() - 1ms), "overloaded");
}

TEST(Admission, WhoHasTimeIsWelcome) {
  const Busy busy;
  EXPECT_EQ(busy.verdict(Clock::now() + kLong), "welcome");
  EXPECT_EQ(busy.verdict(TimePoint::max()), "welcome") << "without a deadline";
}

TEST(Admission, AFullQueueRefusesEverybody) {
  Busy busy;
  busy.push(6);
  EXPECT_EQ(busy.verdict(TimePoint::max()), "welcome");
  busy.push(7);
  EXPECT_EQ(busy.verdict(TimePoint::max()), "queue_full");
  EXPECT_EQ(busy.verdict(Clock::now() + kLong), "queue_full");
}

TEST(Admission, WhereNobodyWaitsEverybodyIsWelcome) {
  Busy busy;
  busy.model.let_go();
  ASSERT_TRUE(busy.client.wait_for(6));
  EXPECT_EQ(busy.verdict(Clock::now() + 1ms), "welcome");
}

// One run of 20 ms after the other, however many rows it has; only single rows ever ran.
TEST(Admission, ASizeThatNeverRanRefusesNobodyWhoHasTime) {
  Fixture fixture(eager(32), {.takes = 20ms});
  ASSERT_TRUE(fixture.doubling.execution->warm_up());
  fixture.occupy();
  fixture.push(1);
  // What runs, and one run of the two that wait then: some 50 ms.
  EXPECT_TRUE(fixture.batcher.admit(Clock::now() + 1s));
}

TEST(Admission, ItIsLearnedThatManyRowsTakeNoLonger) {
  Fixture fixture(eager(32), {.takes = 20ms});
  ASSERT_TRUE(fixture.doubling.execution->warm_up());
  std::size_t refused = 0;
  for (int round = 0; round < 10; ++round) {
    fixture.occupy();
    for (int i = 0; i < 31; ++i) {
      auto request = fixture.client.request({1});
      request->deadline = Clock::now() + 1s;
      if (fixture.batcher.admit(request->deadline)) {
        fixture.push(std::move(request));
      } else {
        ++refused;
        finish(std::move(request), {Code::kUnavailable, "overloaded", "", {}});
      }
    }
    fixture.model.let_go();
    ASSERT_TRUE(fixture.client.wait_for(fixture.client.answers().size()));
    if (round < 6) refused = 0;  // 2, 4, 8, 16 and 32 rows have run by then
  }
  EXPECT_EQ(refused, 0U);
}

TEST(Admission, RowsThatHaveLeftCountNoMore) {
  Busy busy;
  auto late = busy.client.request(Floats(500, 1.0F));
  late->deadline = Clock::now() + 1ms;
  busy.push(std::move(late));
  EXPECT_EQ(busy.verdict(Clock::now() + 500ms), "overloaded") << "500 rows wait";
  busy.model.let_go();
  ASSERT_TRUE(busy.client.wait_for(7));
  busy.occupy();
  busy.push(1);
  EXPECT_EQ(busy.verdict(Clock::now() + 500ms), "welcome");
}

}  // namespace
}  // namespace sluice::serving
