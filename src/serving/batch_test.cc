#include "serving/batch.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "base/turn.h"
#include "serving/model_servable.h"

namespace sluice::serving {
namespace {

// Answers twice its input. Refuses a batch that has -1 in it; with `merges` it answers one row
// whatever goes in, as a model does that only claims to keep rows apart.
class Doubler final : public Model {
 public:
  explicit Doubler(bool merges) : merges_(merges) {
    signature_.inputs.push_back({"x", DType::kFloat32, {-1, -1}, Role::kUnknown});
    signature_.outputs.push_back({"y", DType::kFloat32, {-1, -1}, Role::kUnknown});
  }
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const auto in = inputs[0].as<float>();
    runs.push_back(static_cast<std::size_t>(inputs[0].shape[0]));
    if (std::ranges::find(in, -1.0F) != in.end()) return internal("a bad row");
    auto out = arena.array<float>(in.size());
    std::ranges::transform(in, out.begin(), [](float x) { return 2 * x; });
    outputs[0] = inputs[0];
    outputs[0].data = std::as_bytes(out);
    if (merges_) outputs[0].shape[0] = 1;
    return {};
  }
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }

  mutable std::vector<std::size_t> runs;

 private:
  Signature signature_;
  bool merges_;
};

class Turns final : public Turn {
 public:
  void at_end(std::move_only_function<void()> work) override { work_.push_back(std::move(work)); }
  void post(std::move_only_function<void()> work) override { at_end(std::move(work)); }
  void end() {
    while (!work_.empty()) {
      auto work = std::move(work_.front());
      work_.pop_front();
      work();
    }
  }

 private:
  std::deque<std::move_only_function<void()>> work_;
};

// Takes requests that a stage has kept and finishes them.
class Finish final : public Onward {
 public:
  void resume(RequestPtr request) const override { finish(std::move(request)); }
};

struct Answer {
  std::vector<float> values;
  std::string error;
};

struct Fixture {
  explicit Fixture(bool merges = false, std::int64_t max_batch_size = 32) {
    auto loaded = std::make_unique<Doubler>(merges);
    model = loaded.get();
    ModelConfig config;
    config.batching.emplace().max_batch_size = max_batch_size;
    servable =
        *make_servable_factory()->make(*ModelName::parse("m"), *VersionName::parse("1"),
                                       std::move(loaded), config, 2, std::make_shared<Tally>());
  }

  // `values` are rows of `width`; the answer is there once the turn has ended.
  void ask(std::vector<float> values, std::size_t width = 1) {
    auto& kept = inputs.emplace_back(std::move(values));
    auto request = make_request();
    request->servable = servable;
    request->turn = &turns;
    request->onward = &onward;
    request->rows = kept.size() / width;
    TensorView input;
    input.shape = {static_cast<std::int64_t>(request->rows), static_cast<std::int64_t>(width)};
    input.data = std::as_bytes(std::span<const float>(kept));
    request->inputs = request->arena.array<TensorView>(1);
    request->inputs[0] = input;
    answers.emplace_back();
    request->on_done = [this, index = answers.size() - 1](Request* done) {
      Answer& answer = answers[index];
      if (done->reply.error) {
        answer.error = done->reply.error->message;
        return;
      }
      const auto out = done->reply.outputs[0].as<float>();
      answer.values.assign(out.begin(), out.end());
    };
    if (servable->run(request)) finish(std::move(request));
  }

  Turns turns;
  Finish onward;
  std::deque<std::vector<float>> inputs;
  std::deque<Answer> answers;
  const Doubler* model;
  std::shared_ptr<const Servable> servable;
};

using Floats = std::vector<float>;
using Sizes = std::vector<std::size_t>;

TEST(LoopBatching, WhatATurnBringsRunsTogether) {
  Fixture fixture;
  fixture.ask({1});
  fixture.ask({2, 3});
  fixture.ask({4});
  EXPECT_TRUE(fixture.model->runs.empty()) << "nothing runs before the turn's end";
  fixture.turns.end();
  EXPECT_EQ(fixture.model->runs, Sizes{4});
  EXPECT_EQ(fixture.answers[0].values, Floats{2});
  EXPECT_EQ(fixture.answers[1].values, (Floats{4, 6}));
  EXPECT_EQ(fixture.answers[2].values, Floats{8});
  EXPECT_EQ(fixture.servable->tally().sums().executions, 1);
}

TEST(LoopBatching, ABatchIsNoLargerThanItMayBe) {
  Fixture fixture(false, 3);
  for (const float value : {1.0F, 2.0F, 3.0F, 4.0F}) fixture.ask({value});
  fixture.ask({5, 6, 7, 8, 9});
  fixture.turns.end();
  EXPECT_EQ(fixture.model->runs, (Sizes{3, 1, 5})) << "one request is never split";
  EXPECT_EQ(fixture.answers[3].values, Floats{8});
  EXPECT_EQ(fixture.answers[4].values, (Floats{10, 12, 14, 16, 18}));
}

TEST(LoopBatching, RowsOfOtherShapesRunApart) {
  Fixture fixture;
  fixture.ask({1});
  fixture.ask({2, 3}, 2);
  fixture.ask({4});
  fixture.turns.end();
  EXPECT_EQ(fixture.model->runs, (Sizes{2, 1}));
  EXPECT_EQ(fixture.answers[1].values, (Floats{4, 6}));
  EXPECT_EQ(fixture.answers[2].values, Floats{8});
}

TEST(LoopBatching, ABadRowFailsAlone) {
  Fixture fixture;
  fixture.ask({1});
  fixture.ask({-1});
  fixture.ask({3});
  fixture.turns.end();
  EXPECT_EQ(fixture.answers[0].values, Floats{2});
  EXPECT_EQ(fixture.answers[1].error, "a bad row");
  EXPECT_EQ(fixture.answers[2].values, Floats{6});
}

TEST(LoopBatching, AModelThatMixesRowsIsLeftAlone) {
  Fixture fixture(true);
  fixture.ask({1});
  fixture.ask({2});
  fixture.turns.end();
  EXPECT_EQ(fixture.model->runs, (Sizes{2, 1, 1}));
  EXPECT_EQ(fixture.answers[1].values, Floats{4});
  fixture.ask({3});
  fixture.ask({4});
  fixture.turns.end();
  EXPECT_EQ(fixture.model->runs, (Sizes{2, 1, 1, 1, 1})) << "from now on everybody runs alone";
}

TEST(LoopBatching, RequestsThatNobodyFlushesAreAnsweredOnce) {
  auto fixture = std::make_unique<Fixture>();
  fixture->ask({1});
  EXPECT_TRUE(fixture->answers[0].values.empty());
  fixture->turns.end();
  fixture->turns.end();
  EXPECT_EQ(fixture->answers[0].values, Floats{2});
  EXPECT_EQ(fixture->model->runs, Sizes{1});
}

}  // namespace
}  // namespace sluice::serving
