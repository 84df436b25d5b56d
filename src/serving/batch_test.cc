#include "serving/batch.h"

#include <gtest/gtest.h>

#include "serving/model_servable.h"
#include "serving/testing/fakes.h"

namespace sluice::serving {
namespace {

using namespace testing;

struct Fixture {
  explicit Fixture(bool merges = false, std::int64_t max_batch_size = 32) {
    auto loaded = std::make_unique<Doubler>(DoublerOptions{.merges = merges});
    model = loaded.get();
    ModelConfig config;
    config.batching.emplace().max_batch_size = max_batch_size;
    servable = *make_servable_factory()->make(*ModelName::parse("m"), *VersionName::parse("1"),
                                              std::move(loaded), config, 1,
                                              std::make_shared<Tally>(), nullptr);
  }

  // `values` are rows of `width`; the answer is there once the turn has ended.
  void ask(Floats values, std::size_t width = 1) {
    auto request = client.request(std::move(values), width, &loop);
    request->servable = servable;
    if (servable->run(request)) finish(std::move(request));
  }
  // Where this thread is held up, the rest of a turn is done by a worker.
  void turn() {
    EXPECT_TRUE(loop.turn_until([&] { return client.answered() == client.answers().size(); }));
  }
  Floats values(std::size_t number) const { return client.answer(number).values; }

  Client client;  // outlives the requests that the loop may hold
  Loop loop;
  const Doubler* model;
  std::shared_ptr<const Servable> servable;
};

TEST(LoopBatching, WhatATurnBringsRunsTogether) {
  Fixture fixture;
  fixture.ask({1});
  fixture.ask({2, 3});
  fixture.ask({4});
  EXPECT_TRUE(fixture.model->sizes().empty()) << "nothing runs before the turn's end";
  fixture.turn();
  EXPECT_EQ(fixture.model->sizes(), Sizes{4});
  EXPECT_EQ(fixture.values(0), Floats{2});
  EXPECT_EQ(fixture.values(1), (Floats{4, 6}));
  EXPECT_EQ(fixture.values(2), Floats{8});
  EXPECT_EQ(fixture.servable->tally().sums().executions, 1);
}

TEST(LoopBatching, ABatchIsNoLargerThanItMayBe) {
  Fixture fixture(false, 3);
  for (const float value : {1.0F, 2.0F, 3.0F, 4.0F}) fixture.ask({value});
  fixture.ask({5, 6, 7, 8, 9});
  fixture.turn();
  EXPECT_EQ(fixture.model->sizes(), (Sizes{3, 1, 5})) << "one request is never split";
  EXPECT_EQ(fixture.values(3), Floats{8});
  EXPECT_EQ(fixture.values(4), (Floats{10, 12, 14, 16, 18}));
}

TEST(LoopBatching, RowsOfOtherShapesRunApart) {
  Fixture fixture;
  fixture.ask({1});
  fixture.ask({2, 3}, 2);
  fixture.ask({4});
  fixture.turn();
  EXPECT_EQ(fixture.model->sizes(), (Sizes{2, 1}));
  EXPECT_EQ(fixture.values(1), (Floats{4, 6}));
  EXPECT_EQ(fixture.values(2), Floats{8});
}

TEST(LoopBatching, ABadRowFailsAlone) {
  Fixture fixture;
  fixture.ask({1});
  fixture.ask({-1});
  fixture.ask({3});
  fixture.turn();
  EXPECT_EQ(fixture.values(0), Floats{2});
  EXPECT_EQ(fixture.client.answer(1).message, "a bad row");
  EXPECT_EQ(fixture.values(2), Floats{6});
}

TEST(LoopBatching, AModelThatMixesRowsIsLeftAlone) {
  Fixture fixture(true);
  fixture.ask({1});
  fixture.ask({2});
  fixture.turn();
  EXPECT_EQ(fixture.model->sizes(), (Sizes{2, 1, 1}));
  EXPECT_EQ(fixture.values(1), Floats{4});
  fixture.ask({3});
  fixture.ask({4});
  fixture.turn();
  EXPECT_EQ(fixture.model->sizes(), (Sizes{2, 1, 1, 1, 1})) << "from now on everybody runs alone";
}

TEST(LoopBatching, WantOfMemoryEndsRequestsAndNothingElse) {
  Fixture fixture;
  fixture.ask({1});
  fixture.ask({-2});
  fixture.turn();
  EXPECT_EQ(fixture.values(0), Floats{2});
  EXPECT_EQ(fixture.client.answer(1).reason, "out_of_memory");
}

TEST(FailedBatch, WhereNoRowIsToBlameNobodyRunsAgain) {
  const Doubling doubling;
  Client client;
  std::array members = {client.request({1}), client.request({-3})};
  doubling.execution->run(members);
  EXPECT_EQ(doubling.model->sizes(), Sizes{2});
  for (const auto& member : members) EXPECT_EQ(member->reply.error->reason, "away");
}

TEST(FailedBatch, WhoIsLateDoesNotRunAgain) {
  const Doubling doubling;
  Client client;
  std::array members = {client.request({-1}), client.request({1})};
  members[1]->deadline = Clock::now() - 1ms;
  doubling.execution->run(members);
  EXPECT_EQ(doubling.model->sizes(), (Sizes{2, 1}));
  EXPECT_EQ(members[0]->reply.error->message, "a bad row");
  EXPECT_EQ(members[1]->reply.error->code, Code::kDeadlineExceeded);
}

TEST(LoopBatching, RequestsThatNobodyFlushesAreAnsweredOnce) {
  auto fixture = std::make_unique<Fixture>();
  fixture->ask({1});
  EXPECT_TRUE(fixture->values(0).empty());
  fixture->turn();
  fixture->turn();
  EXPECT_EQ(fixture->values(0), Floats{2});
  EXPECT_EQ(fixture->model->sizes(), Sizes{1});
}

}  // namespace
}  // namespace sluice::serving
