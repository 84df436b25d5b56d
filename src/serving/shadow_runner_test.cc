#include "serving/shadow_runner.h"

#include <gtest/gtest.h>

#include "serving/testing/shadows.h"

namespace sluice::serving {
namespace {

using namespace testing;
using Fixture = ShadowFixture;

TEST(ShadowRunner, AsksWhatUsersAskedAndCompares) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(times(3));
  fixture.publish();
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  EXPECT_EQ(fixture.ask({5, 7}), (Floats{10, 14})) << "users hear of nothing";
  ASSERT_TRUE(fixture.until_predicted(3));
  const auto status = fixture.status();
  EXPECT_EQ(status.version.str(), "v2");
  EXPECT_EQ(status.report.rows, 3U);
  EXPECT_DOUBLE_EQ(status.report.max_difference, 7);
  EXPECT_NEAR(status.report.mean_difference, (1.0 + 5 + 7) / 3, 1e-12);
  EXPECT_EQ(status.counts.disagreements, 3U);
  EXPECT_EQ(status.counts.dropped(), 0U);
  EXPECT_EQ(status.counts.errors, 0U);
  EXPECT_EQ(status.report.timed, 2U);
  ASSERT_FALSE(status.report.worst.empty());
  EXPECT_EQ(status.report.worst[0].inputs, R"({"x":[7]})") << "as they were before the answer";
  EXPECT_EQ(status.report.worst[0].request_id, "id-1");
}

TEST(ShadowRunner, TensorProtocolsAreComparedToo) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(times(2.5));
  fixture.publish();
  EXPECT_EQ(fixture.ask({4}, 1, false), Floats{8});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_DOUBLE_EQ(fixture.status().report.max_difference, 2);
}

TEST(ShadowRunner, TheToleranceIsTheReleases) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(times(2.5));
  fixture.publish(true, 1);
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  fixture.publish(true, 0.1);
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(2));
  EXPECT_EQ(fixture.counts().disagreements, 1U);
}

// Its executions are counted, as runs of the engine; its requests are nobody's.
TEST(ShadowRunner, AShadowsRunsAreNoRequests) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(times(2));
  fixture.publish();
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  const auto primary = fixture.servables[0]->tally().sums();
  const auto shadow = fixture.servables[1]->tally().sums();
  EXPECT_EQ(primary.success.count, 1U);
  EXPECT_EQ(primary.executions, 1U);
  EXPECT_EQ(shadow.executions, 1U);
  EXPECT_EQ(shadow.success.count, 0U);
  EXPECT_EQ(shadow.fail.count, 0U);
}

TEST(ShadowRunner, LargeRequestsAreNotCopied) {
  auto options = patient();
  options.max_request_bytes = 1000;
  Fixture fixture(options);
  fixture.add(times(2));
  fixture.add(times(2));
  fixture.publish();
  EXPECT_EQ(fixture.ask(Floats(1000, 1)), Floats(1000, 2));
  EXPECT_EQ(fixture.counts().large, 1U);
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
}

TEST(ShadowRunner, WhatWasNotAnsweredIsSkipped) {
  Fixture fixture;
  fixture.add_doubler();
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  EXPECT_EQ(fixture.ask({-1}), Floats{});
  EXPECT_EQ(fixture.counts().skipped, 1U);
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_EQ(shadow.values(), Floats{1});
}

TEST(ShadowRunner, OneThatHangsDoesNotStarveAnother) {
  Fixture fixture;
  fixture.add(times(2));
  const Doubler& hangs = fixture.add_doubler();
  fixture.add(times(4));
  fixture.publish();
  hangs.hold();
  fixture.ask({1});
  ASSERT_TRUE(hangs.wait_inside());
  for (std::uint64_t i = 2; i <= 300; ++i) {
    fixture.ask({1});
    ASSERT_TRUE(fixture.until_predicted(i, 1)) << i;
  }
  EXPECT_EQ(fixture.counts(0).predictions, 0U);
  EXPECT_EQ(fixture.counts(0).waiting, 128U) << "half of what may wait";
  EXPECT_EQ(fixture.counts(1).dropped(), 0U);
  hangs.let_go();
}

TEST(ShadowRunner, ClosingDoesNotWaitForOneThatHangs) {
  Fixture fixture;
  fixture.add(times(2));
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  shadow.hold();
  fixture.ask({1});
  ASSERT_TRUE(shadow.wait_inside());
  fixture.ask({1});
  EXPECT_FALSE(fixture.runner.close(Millis(10)));
  fixture.ask({1});
  EXPECT_EQ(fixture.runner.counts(*fixture.entry).at(0).second.waiting, 0U);
  // What it runs on is its own until it ends.
  const std::weak_ptr<const Servable> version = fixture.servables[1];
  fixture.publish(false);
  fixture.tables.publish(std::make_shared<const ServingTable>());
  fixture.tables.refresh();
  fixture.entry.reset();
  auto last = std::move(fixture.servables[1]);
  shadow.let_go();
  ASSERT_TRUE(Fixture::until([&] { return last.use_count() == 1; }));
  last.reset();
  EXPECT_TRUE(version.expired());
}

TEST(ShadowRunner, ClosingEndsWhatIsIdle) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(times(2));
  fixture.publish();
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_TRUE(fixture.runner.close(kLong));
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  EXPECT_TRUE(fixture.runner.close(kLong)) << "again";
}

TEST(ShadowRunner, AVersionThatIsNoShadowAnyMoreBeginsAnew) {
  auto options = patient();
  options.idle = Millis(5);
  Fixture fixture(options);
  fixture.add(times(2));
  fixture.add(times(2));
  fixture.publish();
  const auto with_shadow = fixture.entry;
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  fixture.publish(false);
  EXPECT_TRUE(fixture.runner.status(*fixture.entry).empty());
  fixture.ask({1});
  ASSERT_TRUE(Fixture::until(
      [&] { return fixture.runner.counts(*with_shadow).at(0).second.predictions == 0; }));
  fixture.publish();
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_EQ(fixture.status().report.rows, 1U);
}

}  // namespace
}  // namespace sluice::serving
