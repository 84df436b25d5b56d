#include "serving/model_servable.h"

#include <gtest/gtest.h>

#include "serving/testing/fakes.h"

namespace sluice::serving {
namespace {

using namespace testing;

// A servable of a Doubler, and loops that each have a thread.
struct Fixture {
  explicit Fixture(const ModelConfig& config = {}, DoublerOptions doubler = {}) {
    auto loaded = std::make_unique<Doubler>(doubler);
    model = loaded.get();
    servable = *make_servable_factory()->make(*ModelName::parse("m"), *VersionName::parse("1"),
                                              std::move(loaded), config, 2,
                                              std::make_shared<Tally>(), nullptr);
  }
  ~Fixture() {
    if (!servable) return;
    model->let_go();
    servable->close();  // nothing comes back to loops that are gone
  }

  void ask(float value, Loop& loop) { run(client.request({value}, 1, &loop)); }
  void run(RequestPtr request) {
    request->servable = servable;
    if (servable->run(request)) finish(std::move(request));
  }
  std::size_t warmed_up() {
    EXPECT_TRUE(servable->warm_up());
    return model->runs().size();
  }

  Client client;  // outlives the requests that the loops may hold
  std::array<Loop, 2> loops;
  Loop& loop = loops[0];
  const Doubler* model;
  std::shared_ptr<const Servable> servable;
};

ModelConfig with_instances(std::int64_t count) {
  ModelConfig out;
  out.instances.count = count;
  return out;
}

// By assignment: g++ 12 takes emplace for the end of something that was never begun.
ModelConfig batched() {
  ModelConfig out;
  out.batching = Batching();
  return out;
}

TEST(ModelServable, AShortModelRunsAtTheTurnsEndOnItsThread) {
  bool here = false;
  // Where this thread is held up for a millisecond, the turn is done by a worker instead.
  for (int i = 0; i < 50 && !here; ++i) {
    Fixture fixture;
    const auto runs = fixture.warmed_up();
    fixture.ask(1, fixture.loop);
    fixture.ask(2, fixture.loop);
    ASSERT_EQ(fixture.model->runs().size(), runs);
    ASSERT_EQ(fixture.loop.posted(), 1U) << "the turn's end";
    fixture.loop.turn();
    here = fixture.client.answered() == 2 && fixture.model->runs().size() == runs + 1 &&
           fixture.model->runs().back().thread == std::this_thread::get_id() &&
           fixture.loop.posted() == 1 && fixture.client.answer(1).values == Floats{4};
  }
  EXPECT_TRUE(here);
}

TEST(ModelServable, ASlowModelRunsOnAWorkerAndComesBackToItsLoop) {
  Fixture fixture({}, {.takes = 1ms});
  const auto runs = fixture.warmed_up();
  const auto ask_and_turn = [&](Loop& loop, std::size_t first) {
    for (std::size_t i = first; i < first + 3; ++i) fixture.ask(static_cast<float>(i), loop);
    EXPECT_TRUE(loop.turn_until([&] { return fixture.client.answered() >= 6; }));
  };
  std::thread::id there;
  {
    std::jthread other([&] {
      there = std::this_thread::get_id();
      ask_and_turn(fixture.loops[1], 10);
    });
    ask_and_turn(fixture.loops[0], 20);
  }
  const auto all = fixture.model->runs();
  for (auto it = all.begin() + static_cast<std::ptrdiff_t>(runs); it != all.end(); ++it) {
    EXPECT_NE(it->thread, std::this_thread::get_id());
    EXPECT_NE(it->thread, there);
  }
  for (const auto& answer : fixture.client.answers()) {
    ASSERT_EQ(answer.times, 1);
    EXPECT_EQ(answer.thread, answer.values[0] < 40 ? there : std::this_thread::get_id());
  }
}

TEST(ModelServable, WhatIsLeftOfALongTurnGoesToAWorker) {
  ModelConfig config = batched();
  config.batching->max_batch_size = 1;
  bool some_here = false;
  for (int i = 0; i < 50 && !some_here; ++i) {
    Fixture fixture(config, {.takes = 100us});
    const auto runs = fixture.warmed_up();
    for (int n = 0; n < 100; ++n) fixture.ask(1, fixture.loop);
    ASSERT_TRUE(fixture.loop.turn_until([&] { return fixture.client.answered() == 100; }));
    const auto all = fixture.model->runs();
    const auto here = std::ranges::count(all.begin() + static_cast<std::ptrdiff_t>(runs), all.end(),
                                         std::this_thread::get_id(), &Doubler::Run::thread);
    some_here = here > 0;
    EXPECT_LT(here, 50) << "it is short, but not a hundred times";
    for (const auto& answer : fixture.client.answers()) EXPECT_EQ(answer.values, Floats{2});
  }
  EXPECT_TRUE(some_here);
}

TEST(ModelServable, WithoutALoopItRunsAtOnce) {
  Fixture fixture;
  auto request = fixture.client.request({3});
  EXPECT_TRUE(fixture.servable->run(request));
  finish(std::move(request));
  EXPECT_EQ(fixture.client.answer(0).values, Floats{6});
}

TEST(ModelServable, PolicyWaitGoesThroughTheQueueHoweverShort) {
  ModelConfig config = batched();
  config.batching->policy = BatchPolicy::kWait;
  config.batching->max_wait = Millis(150);
  Fixture fixture(config);
  const auto runs = fixture.warmed_up();
  const auto began = Clock::now();
  fixture.ask(1, fixture.loops[0]);
  fixture.loops[0].turn();
  EXPECT_EQ(fixture.servable->waiting(), 1U);
  fixture.ask(2, fixture.loops[1]);  // another turn, another loop: the same run
  fixture.loops[1].turn();
  ASSERT_TRUE(fixture.loops[0].turn_until([&] { return fixture.client.answered() == 1; }));
  ASSERT_TRUE(fixture.loops[1].turn_until([&] { return fixture.client.answered() == 2; }));
  EXPECT_GE(fixture.client.answer(0).at - began, 150ms);
  EXPECT_EQ(fixture.model->runs().size(), runs + 1);
  EXPECT_EQ(fixture.model->runs().back().rows, 2U);
  EXPECT_EQ(fixture.client.answer(1).values, Floats{4});
}

TEST(ModelServable, TheQueueOfPolicyWaitIsLimited) {
  ModelConfig config = batched();
  config.batching->policy = BatchPolicy::kWait;
  config.batching->max_wait = Millis(1000);
  config.batching->max_queue = 2;
  Fixture fixture(config);
  for (int i = 0; i < 3; ++i) fixture.ask(1, fixture.loop);
  fixture.loop.turn();
  EXPECT_EQ(fixture.client.answer(2).reason, "queue_full");
  const auto admitted = fixture.servable->admit(TimePoint::max());
  ASSERT_FALSE(admitted);
  EXPECT_EQ(admitted.error().reason, "queue_full");
  fixture.servable->close();
  EXPECT_EQ(fixture.client.answer(0).reason, "dropped");
  EXPECT_EQ(fixture.client.answer(1).reason, "dropped");
}

// Two loops ask a hundred times each, so that their turns meet.
int most_at_once(Fixture& fixture, bool with_loop = true) {
  const auto ask = [&](Loop& loop) {
    for (int i = 0; i < 100; ++i) {
      fixture.run(fixture.client.request({1}, 1, with_loop ? &loop : nullptr));
      if (i % 5 == 0) loop.turn();
    }
    EXPECT_TRUE(loop.turn_until([&] { return fixture.client.answered() == 200; }));
  };
  {
    std::jthread other([&] { ask(fixture.loops[1]); });
    ask(fixture.loops[0]);
  }
  for (const auto& answer : fixture.client.answers()) EXPECT_EQ(answer.values, Floats{2});
  return fixture.model->most_at_once();
}

TEST(ModelServable, OneInstanceRunsOnceAtATime) {
  for (const auto takes : {50us, 500us}) {  // on the loops' threads, and on a worker
    Fixture fixture(with_instances(1), {.takes = takes});
    fixture.warmed_up();
    EXPECT_EQ(most_at_once(fixture), 1) << takes.count();
  }
}

// Each loop asks once while runs do not end; `expected` of them begin.
void expect_inside(Fixture& fixture, int expected) {
  fixture.model->hold();
  std::vector<std::jthread> turning;
  for (auto& loop : fixture.loops) {
    turning.emplace_back([&] {
      fixture.ask(1, loop);
      EXPECT_TRUE(loop.turn_until([&] { return fixture.client.answered() == 2; }));
    });
  }
  EXPECT_TRUE(fixture.model->wait_inside(expected));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(fixture.model->most_at_once(), expected);
  fixture.model->let_go();
}

TEST(ModelServable, OneInstanceIsOneForAllLoops) {
  Fixture fixture(with_instances(1));
  fixture.warmed_up();
  expect_inside(fixture, 1);
}

TEST(ModelServable, ALoopDoesNotWaitForAnothersRun) {
  for (const bool thread_safe : {true, false}) {
    Fixture fixture(with_instances(thread_safe ? 1 : 4), {.thread_safe = thread_safe});
    fixture.warmed_up();
    fixture.model->hold();
    std::jthread other([&] {
      fixture.ask(1, fixture.loops[1]);
      EXPECT_TRUE(fixture.loops[1].turn_until([&] { return fixture.client.answered() == 2; }));
    });
    EXPECT_TRUE(fixture.model->wait_inside());
    const auto began = Clock::now();
    // After five seconds, so that a loop that does wait is not held for good.
    std::jthread watching([&](const std::stop_token& over) {
      for (int i = 0; i < 1000 && !over.stop_requested(); ++i) std::this_thread::sleep_for(5ms);
      fixture.model->let_go();
    });
    fixture.ask(2, fixture.loop);
    fixture.loop.turn();
    EXPECT_LT(Clock::now() - began, 4s) << "it goes to the queue";
    EXPECT_EQ(fixture.servable->waiting(), 1U);
    fixture.model->let_go();
    EXPECT_TRUE(fixture.loop.turn_until([&] { return fixture.client.answered() == 2; }));
  }
}

TEST(ModelServable, WithoutALimitLoopsRunBesideEachOther) {
  ModelConfig config = batched();
  config.batching->max_batch_size = 1;
  Fixture fixture(config);
  fixture.warmed_up();
  expect_inside(fixture, 2);
}

TEST(ModelServable, AModelThatIsNotThreadSafeNeverRunsTwiceAtATime) {
  for (const auto takes : {50us, 500us}) {
    for (const bool with_loop : {true, false}) {
      Fixture fixture(with_instances(4), {.thread_safe = false, .takes = takes});
      fixture.warmed_up();
      EXPECT_EQ(most_at_once(fixture, with_loop), 1) << takes.count() << with_loop;
    }
  }
}

// Explanations by answers ask the model some thousand times, beside its traffic.
TEST(ModelServable, NorBesideWhatIsAskedAside) {
  for (const bool thread_safe : {false, true}) {
    Fixture fixture({}, {.thread_safe = thread_safe});
    fixture.warmed_up();
    fixture.model->hold();
    const auto aside = fixture.client.request({1}, 1, nullptr);
    const std::jthread asks([&] { EXPECT_TRUE(fixture.servable->run_aside(*aside)); });
    EXPECT_TRUE(fixture.model->wait_inside());
    const std::jthread traffic([&] {
      fixture.ask(2, fixture.loop);
      EXPECT_TRUE(fixture.loop.turn_until([&] { return fixture.client.answered() == 1; }));
    });
    if (thread_safe) {
      EXPECT_TRUE(fixture.model->wait_inside(2));
    } else {
      std::this_thread::sleep_for(20ms);
    }
    fixture.model->let_go();
    EXPECT_TRUE(fixture.model->wait_for(2));
    EXPECT_EQ(fixture.model->most_at_once(), thread_safe ? 2 : 1);
  }
}

// Else a column more would be a way past the bounds of the others.
TEST(ModelServable, NamedColumnsSayHowManyThereAre) {
  ModelConfig config;
  config.inputs.resize(2);
  config.inputs[0].name = "age";
  config.inputs[1].name = "income";
  const Fixture fixture(config);
  EXPECT_EQ(fixture.servable->signature().inputs[0].dims, (std::vector<std::int64_t>{-1, 2}));
}

TEST(ModelServable, WarmUpRunsAsOftenAsSaid) {
  for (const int times : {0, 3}) {
    ModelConfig config;
    config.warmup = times;
    Fixture fixture(config);
    EXPECT_EQ(fixture.warmed_up(), static_cast<std::size_t>(times));
  }
}

TEST(ModelServable, TheLastRequestEndsTheVersion) {
  Fixture fixture({}, {.takes = 1ms});
  fixture.warmed_up();
  for (int i = 0; i < 4; ++i) fixture.ask(1, fixture.loop);
  const std::weak_ptr<const Servable> version = fixture.servable;
  fixture.servable.reset();
  EXPECT_FALSE(version.expired()) << "its requests keep it";
  ASSERT_TRUE(fixture.loop.turn_until([&] { return fixture.client.answered() == 4; }));
  EXPECT_TRUE(version.expired());
  for (const auto& answer : fixture.client.answers()) EXPECT_EQ(answer.values, Floats{2});
}

}  // namespace
}  // namespace sluice::serving
