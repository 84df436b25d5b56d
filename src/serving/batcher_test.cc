#include "serving/batcher.h"

#include <gtest/gtest.h>

#include "serving/testing/batchers.h"

namespace sluice::serving {
namespace {

using namespace testing;
using Fixture = BatcherFixture;

TEST(Batcher, WhatWaitsRunsTogether) {
  Fixture fixture(eager(4));
  fixture.occupy();
  for (const float value : {1.0F, 2.0F, 3.0F}) fixture.push(value);
  fixture.push(fixture.client.request({4, 5}));
  EXPECT_EQ(fixture.batcher.waiting(), 4U);
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(5));
  EXPECT_EQ(fixture.model.sizes(), (Sizes{1, 3, 2}));
  EXPECT_EQ(fixture.client.answer(3).values, Floats{6});
  EXPECT_EQ(fixture.client.answer(4).values, (Floats{8, 10}));
  EXPECT_EQ(fixture.batcher.waiting(), 0U);
}

TEST(Batcher, NoThreadBeforeTheFirstRequest) {
  Fixture fixture(eager(4));
  EXPECT_TRUE(fixture.batcher.admit(TimePoint::max()));
  fixture.batcher.push({});
  fixture.batcher.close();
  fixture.batcher.close();
}

TEST(Batcher, ABadRowFailsAlone) {
  Fixture fixture(eager(8));
  fixture.occupy();
  for (const float value : {1.0F, -1.0F, 3.0F}) fixture.push(value);
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(4));
  EXPECT_EQ(fixture.model.sizes(), (Sizes{1, 3, 1, 1, 1}));
  EXPECT_EQ(fixture.client.answer(1).values, Floats{2});
  EXPECT_EQ(fixture.client.answer(2).message, "a bad row");
  EXPECT_EQ(fixture.client.answer(3).values, Floats{6});
}

TEST(Batcher, AFullQueueRefuses) {
  auto options = eager(8);
  options.max_queue = 2;
  Fixture fixture(std::move(options));
  fixture.occupy();
  fixture.push(1);
  fixture.push(2);
  EXPECT_EQ(fixture.client.answered(), 0U);
  fixture.push(3);
  const auto refused = fixture.client.answer(3);
  EXPECT_EQ(refused.times, 1) << "at once";
  EXPECT_EQ(refused.code, Code::kUnavailable);
  EXPECT_EQ(refused.reason, "queue_full");
  EXPECT_NE(refused.message.find('2'), std::string::npos) << "names the limit";
  // Of several that come together, as many as there is room for.
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(4));
  fixture.occupy();
  std::vector<RequestPtr> three;
  for (const float value : {5.0F, 6.0F, 7.0F}) three.push_back(fixture.client.request({value}));
  fixture.batcher.push(three);
  EXPECT_EQ(fixture.client.answer(7).reason, "queue_full");
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(8));
  EXPECT_EQ(fixture.client.answer(5).values, Floats{10});
  EXPECT_EQ(fixture.client.answer(6).values, Floats{12});
}

TEST(Batcher, LowerNumbersGoFirst) {
  Fixture fixture(eager(1));
  fixture.occupy();
  fixture.push(99, 99);  // beyond the last: as 16
  fixture.push(16, 16);
  fixture.push(81, 8);
  fixture.push(1, 1);
  fixture.push(82);  // names none: 8
  fixture.push(83, 8);
  fixture.push(2, 1);
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(8));
  EXPECT_EQ(fixture.model.values(), (Floats{0, 1, 2, 81, 82, 83, 99, 16}))
      << "and those of one priority in the order in which they came";
}

TEST(Batcher, TheDefaultPriorityIsTheModels) {
  auto options = eager(1);
  options.default_priority = 3;
  Fixture fixture(std::move(options));
  fixture.occupy();
  fixture.push(4, 4);
  fixture.push(3);
  fixture.push(2, 2);
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(4));
  EXPECT_EQ(fixture.model.values(), (Floats{0, 2, 3, 4}));
}

TEST(Batcher, NoMoreRunsAtATimeThanInstances) {
  for (const int instances : {1, 3}) {
    Fixture fixture(eager(1, instances), {.takes = 100us});
    fixture.model.hold();
    for (int i = 0; i < 40; ++i) fixture.push(1);
    ASSERT_TRUE(fixture.model.wait_inside(instances));
    std::this_thread::sleep_for(10ms);
    EXPECT_EQ(fixture.model.most_at_once(), instances);
    fixture.model.let_go();
    ASSERT_TRUE(fixture.client.wait_for(40));
    EXPECT_EQ(fixture.model.most_at_once(), instances);
  }
}

TEST(Batcher, ARunOutsideTakesAnInstance) {
  Fixture fixture(eager(4, 2));
  ASSERT_TRUE(fixture.batcher.enter());
  ASSERT_TRUE(fixture.batcher.enter());
  EXPECT_FALSE(fixture.batcher.enter()) << "there are two";
  fixture.push(1);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(fixture.client.answered(), 0U) << "the workers wait for an instance";
  fixture.batcher.leave();
  ASSERT_TRUE(fixture.client.wait_for(1));
  fixture.occupy();
  EXPECT_FALSE(fixture.batcher.enter()) << "one runs here and one there";
  fixture.push(2);
  fixture.batcher.leave();
  EXPECT_TRUE(fixture.model.wait_inside(2));
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(3));
}

TEST(Batcher, NobodyOvertakesThoseWhoWait) {
  Fixture fixture(wait(8, 150ms));
  fixture.push(1);
  EXPECT_FALSE(fixture.batcher.enter()) << "an instance is free, but somebody waits";
  ASSERT_TRUE(fixture.client.wait_for(1));
  EXPECT_TRUE(fixture.batcher.enter());
  fixture.batcher.leave();
}

TEST(Batcher, WaitHoldsABatchOpen) {
  Fixture fixture(wait(8, 200ms));
  const auto began = Clock::now();
  fixture.push(1);
  fixture.push(2);
  ASSERT_TRUE(fixture.client.wait_for(2));
  EXPECT_GE(fixture.client.answer(0).at - began, 200ms);
  EXPECT_EQ(fixture.model.sizes(), Sizes{2});
}

TEST(Batcher, WaitClosesWhenItIsFull) {
  Fixture fixture(wait(3, kLong));
  for (const float value : {1.0F, 2.0F, 3.0F}) fixture.push(value);
  ASSERT_TRUE(fixture.client.wait_for(3));
  EXPECT_EQ(fixture.model.sizes(), Sizes{3});
}

TEST(Batcher, WaitClosesForADeadline) {
  Fixture fixture(wait(8, kLong));
  auto request = fixture.client.request({1});
  request->deadline = Clock::now() + 2s;
  fixture.push(2);
  fixture.push(std::move(request));
  ASSERT_TRUE(fixture.client.wait_for(2));
  EXPECT_EQ(fixture.model.sizes(), Sizes{2});
  EXPECT_EQ(fixture.client.answer(0).values, Floats{2}) << "in time";
}

TEST(Batcher, WhatIsTooLateNeverRuns) {
  Fixture fixture(eager(1));
  fixture.occupy();
  std::atomic<bool> cancelled = false;
  auto late = fixture.client.request({1});
  late->deadline = Clock::now() + 10ms;
  auto gone = fixture.client.request({2});
  gone->cancelled = &cancelled;
  fixture.push(std::move(late));
  fixture.push(std::move(gone));
  fixture.push(3);
  cancelled = true;
  std::this_thread::sleep_for(20ms);
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(4));
  EXPECT_EQ(fixture.client.answer(1).code, Code::kDeadlineExceeded);
  EXPECT_EQ(fixture.client.answer(1).reason, "deadline");
  EXPECT_EQ(fixture.client.answer(2).code, Code::kCancelled);
  EXPECT_EQ(fixture.model.values(), (Floats{0, 3}));
  EXPECT_EQ(fixture.batcher.waiting(), 0U);
}

TEST(Batcher, EachGoesBackToItsOwnLoop) {
  Fixture fixture(eager(8));
  Loop here;
  Loop there;
  fixture.occupy();
  for (int i = 1; i <= 4; ++i) {
    fixture.push(fixture.client.request({static_cast<float>(i)}, 1, i % 2 == 0 ? &here : &there));
  }
  fixture.push(fixture.client.request({5}));  // of no loop
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(2));  // the first, and the one without a loop
  EXPECT_TRUE(here.turn_until([&] { return fixture.client.answered() >= 4; }));
  EXPECT_EQ(here.posted(), 1U) << "one post for all of a loop and batch";
  EXPECT_EQ(fixture.client.answer(1).times, 0);
  EXPECT_TRUE(there.turn_until([&] { return fixture.client.answered() == 6; }));
  EXPECT_EQ(there.posted(), 1U);
  EXPECT_LE(fixture.client.answer(2).at, fixture.client.answer(4).at) << "in order";
  for (const auto number : {1U, 2U, 3U, 4U}) {
    EXPECT_EQ(fixture.client.answer(number).thread, std::this_thread::get_id());
  }
}

TEST(Batcher, AModelThatMixesRowsRunsThemOneByOne) {
  Fixture fixture(eager(8), {.merges = true});
  fixture.occupy();
  for (const float value : {1.0F, 2.0F}) fixture.push(value);
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(3));
  EXPECT_EQ(fixture.model.sizes(), (Sizes{1, 2, 1, 1}));
  fixture.occupy();
  for (const float value : {1.0F, 2.0F}) fixture.push(value);
  fixture.model.let_go();
  ASSERT_TRUE(fixture.client.wait_for(6));
  EXPECT_EQ(fixture.model.sizes(), (Sizes{1, 2, 1, 1, 1, 1, 1})) << "from now on";
}

}  // namespace
}  // namespace sluice::serving
