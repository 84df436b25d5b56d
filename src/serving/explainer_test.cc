#include "serving/explainer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "serving/testing/fakes.h"
#include "serving/testing/formula.h"

namespace sluice::serving {
namespace {

using testing::Loop;
using testing::Served;
using namespace std::chrono_literals;

// A background that keeps the explainer busy until it is let go.
class Gate final : public Background {
 public:
  std::vector<double> rows(const Servable&, std::size_t, std::size_t) const override {
    if (!entered_.exchange(true)) entered_promise_.set_value();
    open_.wait();
    return {1, 1, 1};
  }
  void wait_inside() { entered_promise_.get_future().wait(); }
  void let_go() { promise_.set_value(); }

 private:
  std::promise<void> promise_;
  std::shared_future<void> open_ = promise_.get_future().share();
  mutable std::promise<void> entered_promise_;
  mutable std::atomic<bool> entered_{false};
};

class Finish final : public Onward {
 public:
  void resume(RequestPtr request) const override { finish(std::move(request)); }
};

struct Seen {
  int times = 0;
  bool explained = false;
  std::string warning;
  std::string reason;
  std::thread::id thread;
};

struct Fixture {
  Served served{
      {}, [](std::span<const double> x, std::span<double> y) { y[0] = x[0] + 2 * x[1] * x[2]; }};
  Loop loop;
  Finish onward;
  std::deque<Seen> seen;

  RequestPtr request(Turn* turn, TimePoint deadline = TimePoint::max()) {
    auto out = make_request();
    out->servable = served.servable;
    out->rows = 1;
    out->wants_prediction = true;
    auto values = out->arena.array<float>(3);
    std::ranges::fill(values, 2.0F);
    out->inputs = out->arena.array<TensorView>(1);
    out->inputs[0] = TensorView{DType::kFloat32, {1, 3}, std::as_bytes(values), {}};
    EXPECT_TRUE(served.servable->run(out));
    out->turn = turn;
    out->onward = &onward;
    out->deadline = deadline;
    out->explain = true;
    Seen& note = seen.emplace_back();
    out->on_done = [&note](Request* done) {
      ++note.times;
      note.explained = done->reply.explanation != nullptr;
      note.warning = done->warnings.empty() ? "" : done->warnings.back();
      note.reason = done->reply.error ? std::string(done->reply.error->reason) : "";
      note.thread = std::this_thread::get_id();
    };
    return out;
  }
  std::size_t answered() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(seen, [](const Seen& each) { return each.times == 1; }));
  }
};

TEST(Explainer, ExplainsOnItsThreadAndAnswersOnTheLoops) {
  Fixture fixture;
  Explainer explainer;
  auto request = fixture.request(&fixture.loop);
  ASSERT_FALSE(explainer.explain(request));
  EXPECT_EQ(request, nullptr);
  ASSERT_TRUE(fixture.loop.turn_until([&] { return fixture.answered() == 1; }));
  EXPECT_TRUE(fixture.seen[0].explained);
  EXPECT_EQ(fixture.seen[0].thread, std::this_thread::get_id());
  EXPECT_TRUE(explainer.close(20s));
}

TEST(Explainer, WithoutALoopItIsDoneHere) {
  Fixture fixture;
  Explainer explainer;
  auto request = fixture.request(nullptr);
  ASSERT_TRUE(explainer.explain(request));
  EXPECT_NE(request->reply.explanation, nullptr);
}

TEST(Explainer, AModelThatFailsOnMixturesCostsTheExplanationAlone) {
  Fixture fixture;
  fixture.served = Served({.refuses_zero = true}, [](auto, std::span<double> y) { y[0] = 1; });
  Explainer explainer;  // compares with zeros
  auto request = fixture.request(nullptr);
  ASSERT_TRUE(explainer.explain(request));
  EXPECT_EQ(request->reply.explanation, nullptr);
  EXPECT_FALSE(request->reply.error);
  EXPECT_NE(request->warnings.back().find("failed to run"), std::string::npos);
}

TEST(Explainer, BeyondItsQueueAnswersLeaveWithoutOne) {
  Fixture fixture;
  Gate gate;
  Explainer explainer(&gate);
  auto first = fixture.request(&fixture.loop);
  ASSERT_FALSE(explainer.explain(first));
  gate.wait_inside();
  for (std::size_t i = 0; i < Explainer::kMostWaiting; ++i) {
    auto request = fixture.request(&fixture.loop);
    EXPECT_FALSE(explainer.explain(request)) << i;
  }
  EXPECT_EQ(explainer.waiting(), Explainer::kMostWaiting);
  auto refused = fixture.request(&fixture.loop);
  ASSERT_TRUE(explainer.explain(refused));
  EXPECT_EQ(refused->reply.explanation, nullptr);
  EXPECT_FALSE(refused->reply.error);
  EXPECT_NE(refused->warnings.back().find("busy"), std::string::npos);
  gate.let_go();
  ASSERT_TRUE(
      fixture.loop.turn_until([&] { return fixture.answered() == 1 + Explainer::kMostWaiting; }));
  EXPECT_EQ(std::ranges::count_if(fixture.seen, &Seen::explained),
            1 + static_cast<std::ptrdiff_t>(Explainer::kMostWaiting));
  EXPECT_EQ(explainer.waiting(), 0U);
}

TEST(Explainer, ThoseThatAreLateDoNotWaitForTheirTurn) {
  Fixture fixture;
  Gate gate;
  Explainer explainer(&gate);
  const auto now = std::chrono::steady_clock::now();
  auto first = fixture.request(&fixture.loop);
  ASSERT_FALSE(explainer.explain(first));
  gate.wait_inside();
  auto patient = fixture.request(&fixture.loop);
  auto late = fixture.request(&fixture.loop, now);
  auto near = fixture.request(&fixture.loop, now + 1h);
  near->arrived = now;
  for (auto* request : {&patient, &late, &near}) ASSERT_FALSE(explainer.explain(*request));
  explainer.sweep(now + 1h - 1ms);
  fixture.loop.turn();
  EXPECT_EQ(fixture.seen[1].times, 0);
  EXPECT_EQ(fixture.seen[2].times, 1);
  EXPECT_EQ(fixture.seen[2].reason, "deadline");
  EXPECT_EQ(fixture.seen[3].times, 1);
  EXPECT_EQ(fixture.seen[3].reason, "") << "its answer is there and still in time";
  EXPECT_NE(fixture.seen[3].warning.find("no time"), std::string::npos);
  EXPECT_EQ(explainer.waiting(), 1U);
  gate.let_go();
  ASSERT_TRUE(fixture.loop.turn_until([&] { return fixture.answered() == 4; }));
  EXPECT_TRUE(fixture.seen[1].explained);
}

TEST(Explainer, WhatWaitsAtTheEndIsAnsweredWithoutOne) {
  Fixture fixture;
  Gate gate;
  Explainer explainer(&gate);
  auto first = fixture.request(&fixture.loop);
  ASSERT_FALSE(explainer.explain(first));
  gate.wait_inside();
  auto second = fixture.request(&fixture.loop);
  ASSERT_FALSE(explainer.explain(second));
  EXPECT_FALSE(explainer.close(0ms)) << "the first one is still under way";
  fixture.loop.turn();
  EXPECT_EQ(fixture.seen[1].times, 1);
  EXPECT_FALSE(fixture.seen[1].explained);
  EXPECT_NE(fixture.seen[1].warning.find("ending"), std::string::npos);
  auto third = fixture.request(&fixture.loop);
  EXPECT_TRUE(explainer.explain(third));
  gate.let_go();
  ASSERT_TRUE(fixture.loop.turn_until([&] { return fixture.answered() == 2; }));
  EXPECT_TRUE(fixture.seen[0].explained);
}

}  // namespace
}  // namespace sluice::serving
