#include "serving/shadow_runner.h"

#include <gtest/gtest.h>

#include <thread>

#include "observers/builtin.h"
#include "routing/weighted.h"
#include "serving/model_servable.h"
#include "serving/pipeline.h"
#include "serving/testing/fakes.h"

namespace sluice::serving {
namespace {

using namespace testing;

// y = first input − second input, found by their names; with one input, `factor` times it.
class Linear final : public Model {
 public:
  Linear(std::vector<std::string> inputs, float factor, std::int64_t width = -1) : factor_(factor) {
    for (auto& name : inputs) {
      signature_.inputs.push_back({std::move(name), DType::kFloat32, {-1, width}, Role::kUnknown});
    }
    signature_.outputs.push_back({"y", DType::kFloat32, {-1, width}, Role::kUnknown});
  }
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const auto a = inputs[inputs.size() == 1 ? 0 : signature_.input_named("a")].as<float>();
    auto out = arena.array<float>(a.size());
    std::ranges::transform(a, out.begin(), [&](float x) { return factor_ * x; });
    if (inputs.size() > 1) {
      const auto b = inputs[signature_.input_named("b")].as<float>();
      for (std::size_t i = 0; i < out.size(); ++i) out[i] -= b[i];
    }
    outputs[0] = inputs[0];
    outputs[0].data = std::as_bytes(out);
    return {};
  }
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }

 private:
  const float factor_;
  Signature signature_;
};

std::unique_ptr<Model> times(float factor) {
  return std::make_unique<Linear>(std::vector<std::string>{"x"}, factor);
}

class Nobody final : public OnDemand {
 public:
  void want(std::string_view, std::string_view, TimePoint, Then then) override {
    then(unavailable("not_ready", "nothing is loaded here"));
  }
};

// Long enough that nothing is late however busy the machine is.
ShadowOptions patient() {
  ShadowOptions out;
  out.max_wait = Millis(600'000);
  return out;
}

// Model m: v1 answers, the others are its shadows.
struct Fixture {
  explicit Fixture(ShadowOptions options = patient()) : runner(tables, options) {
    observers = observers::make_builtin(trace);
    observers.push_back(make_shadow_observer(runner));
  }

  const Model& add(std::unique_ptr<Model> model) {
    const Model& out = *model;
    const auto name = *VersionName::parse("v" + std::to_string(servables.size() + 1));
    servables.push_back(*make_servable_factory()->make(
        *ModelName::parse("m"), name, std::move(model), {}, 1, std::make_shared<Tally>()));
    return out;
  }
  const Doubler& add_doubler() {
    return static_cast<const Doubler&>(add(std::make_unique<Doubler>()));
  }

  // From now on all but v1 are shadows, or none is.
  void publish(bool with_shadows = true) {
    auto made = std::make_shared<ModelEntry>(
        ModelEntry{*ModelName::parse("m"), {}, {}, {}, servables, {}, false});
    std::vector<VersionName> ready;
    for (const auto& servable : servables) ready.push_back(servable->version());
    routing::WeightedPlan plan;
    plan.arms = {ready[0]};
    plan.shares = {1};
    plan.model = "m";
    if (with_shadows) plan.shadows.assign(ready.begin() + 1, ready.end());
    made->policy = routing::make_weighted(std::move(plan))->over(ready);
    entry = made;
    auto table = std::make_shared<ServingTable>();
    table->models["m"] = entry;
    table->loading = false;
    tables.publish(table);
  }

  // The answer's values; its buffer is overwritten with it, as the transport does.
  Floats ask(Floats values, std::size_t inputs = 1, bool simple = true) {
    Floats out;
    auto request = pipeline.new_request();
    request->wants_prediction = simple;
    request->request_id = "id-1";
    EXPECT_TRUE(pipeline.aim(*request, "m", ""));
    request->inputs = request->arena.array<TensorView>(inputs);
    for (std::size_t i = 0; i < inputs; ++i) {
      const std::size_t each = values.size() / inputs;
      TensorView tensor;
      tensor.shape = {static_cast<std::int64_t>(each), 1};
      tensor.data = std::as_bytes(std::span(values).subspan(i * each, each));
      request->inputs[i] = tensor;
    }
    request->bound_to = request->servable->signature().fingerprint;
    request->on_done = [&](Request* done) {
      if (!done->reply.error) {
        const auto floats = done->reply.outputs[0].as<float>();
        out.assign(floats.begin(), floats.end());
      }
      std::ranges::fill(values, -777.0F);
    };
    pipeline.submit(std::move(request));
    return out;
  }

  ShadowStatus status(std::size_t shadow = 0) const { return runner.status(*entry).at(shadow); }
  ShadowCounts counts(std::size_t shadow = 0) const {
    return runner.counts(*entry).at(shadow).second;
  }
  static bool until(const std::function<bool()>& done) {
    const auto end = Clock::now() + kLong;
    while (!done()) {
      if (Clock::now() > end) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  bool until_predicted(std::uint64_t rows, std::size_t shadow = 0) const {
    return until([&] { return counts(shadow).predictions == rows; });
  }

  ServingTables tables{std::make_shared<const ServingTable>()};
  observers::TraceControl trace;
  Nobody on_demand;
  std::vector<std::shared_ptr<const Servable>> servables;
  std::shared_ptr<const ModelEntry> entry;
  ShadowRunner runner;
  Observers observers;
  Pipeline pipeline{tables, observers, on_demand};
};

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

TEST(ShadowRunner, TheToleranceIsTheModels) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(times(2.5));
  fixture.publish();
  fixture.runner.set_tolerance(*ModelName::parse("m"), 1);
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  fixture.runner.set_tolerance(*ModelName::parse("m"), 0.1);
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

TEST(ShadowRunner, AHangingShadowFillsItsQueueAndNothingElse) {
  auto options = patient();
  options.max_requests = 8;
  Fixture fixture(options);
  fixture.add(times(2));
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  shadow.hold();
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  ASSERT_TRUE(shadow.wait_inside());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fixture.ask({2}), Floats{4});
  EXPECT_EQ(fixture.counts().waiting, 8U);
  EXPECT_EQ(fixture.counts().full, 92U);
  shadow.let_go();
  ASSERT_TRUE(fixture.until_predicted(9));
  EXPECT_EQ(shadow.most_at_once(), 1);
  EXPECT_EQ(fixture.counts().disagreements, 0U);
}

TEST(ShadowRunner, WhatHasWaitedTooLongIsDropped) {
  ShadowOptions options;
  options.max_wait = Millis(50);
  Fixture fixture(options);
  fixture.add(times(2));
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  shadow.hold();
  // On a busy machine the thread may come too late even for the first.
  std::uint64_t asked = 0;
  ASSERT_TRUE(Fixture::until([&] {
    fixture.ask({1});
    ++asked;
    const auto handled = [&] { return !shadow.runs().empty() || fixture.counts().late == asked; };
    return Fixture::until(handled) && !shadow.runs().empty();
  }));
  const auto before = fixture.counts().late;
  for (int i = 0; i < 3; ++i) fixture.ask({1});
  std::this_thread::sleep_for(60ms);
  shadow.let_go();
  ASSERT_TRUE(Fixture::until([&] { return fixture.counts().late == before + 3; }));
  EXPECT_EQ(fixture.counts().predictions, 1U);
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

TEST(ShadowRunner, BytesThatWaitAreBounded) {
  auto options = patient();
  options.max_bytes = 40'000;  // each case is a few KiB by itself
  Fixture fixture(options);
  fixture.add(times(2));
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  shadow.hold();
  fixture.ask({1});
  ASSERT_TRUE(shadow.wait_inside());
  for (int i = 0; i < 50; ++i) fixture.ask(Floats(1000, 1));
  const auto counts = fixture.counts();
  EXPECT_GE(counts.waiting, 1U);
  EXPECT_LE(counts.waiting * 8000, 40'000U) << "inputs and outputs are 8,000 bytes";
  EXPECT_EQ(counts.waiting + counts.full, 50U);
  shadow.let_go();
}

TEST(ShadowRunner, AFailingShadowIsCountedAndGoesOn) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add_doubler();  // refuses -1
  fixture.publish();
  EXPECT_EQ(fixture.ask({-1}), Floats{-2});
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_EQ(fixture.counts().errors, 1U);
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

TEST(ShadowRunner, InputsAreFoundByTheirNames) {
  Fixture fixture;
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"a", "b"}, 1));
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"b", "a"}, 1));
  fixture.publish();
  EXPECT_EQ(fixture.ask({5, 3}, 2), Floats{2});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_EQ(fixture.counts().disagreements, 0U);
}

TEST(ShadowRunner, WhatDoesNotFitTheShadowIsAnError) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"x"}, 2, 3));      // width
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"a", "b"}, 2));    // inputs
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"other"}, 2, 1));  // fits
  fixture.publish();
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  ASSERT_TRUE(Fixture::until([&] { return fixture.counts(0).errors == 1; }));
  ASSERT_TRUE(Fixture::until([&] { return fixture.counts(1).errors == 1; }));
  ASSERT_TRUE(fixture.until_predicted(1, 2));
}

}  // namespace
}  // namespace sluice::serving
