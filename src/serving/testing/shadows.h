// Models, versions and a pipeline for the tests of shadows.
#pragma once

#include <gtest/gtest.h>

#include <thread>

#include "observers/statistics.h"
#include "routing/weighted.h"
#include "serving/model_servable.h"
#include "serving/pipeline.h"
#include "serving/shadow_runner.h"
#include "serving/testing/fakes.h"

namespace sluice::serving::testing {

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

inline std::unique_ptr<Model> times(float factor) {
  return std::make_unique<Linear>(std::vector<std::string>{"x"}, factor);
}

// What a process would do, on this thread: fails as one whose engine crashes, or is not there.
class FakeHosted final : public HostedModel {
 public:
  explicit FakeHosted(std::unique_ptr<Model> model) : model_(std::move(model)) {}
  const Signature& signature() const override { return model_->signature(); }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    ++runs;
    if (crashes) return fail(Code::kInternal, "host_ended", "its process ended");
    return model_->run(inputs, outputs, arena);
  }
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }
  Result<void> ready() const override {
    if (!up) return unavailable("host_down", "it is started again later");
    return {};
  }
  std::chrono::nanoseconds take_time() const override { return std::chrono::milliseconds(7); }
  void stop() const override { stopped = true; }
  HostStatus status() const override { return {HostStatus::State::kRunning, 3, "told"}; }

  mutable std::atomic<int> runs{0};
  std::atomic<bool> crashes{false};
  std::atomic<bool> up{true};
  mutable std::atomic<bool> stopped{false};

 private:
  const std::unique_ptr<Model> model_;
};

class FakeHost final : public ModelHost {
 public:
  explicit FakeHost(std::shared_ptr<const HostedModel> model) : model_(std::move(model)) {}
  std::shared_ptr<const HostedModel> host(const Signature&, const HostOptions&) const override {
    return model_;
  }

 private:
  const std::shared_ptr<const HostedModel> model_;
};

class NothingElse final : public OnDemand {
 public:
  void want(std::string_view, std::string_view, TimePoint, Then then) override {
    then(unavailable("not_ready", "nothing is loaded here"));
  }
};

// Long enough that nothing is late however busy the machine is.
inline ShadowOptions patient() {
  ShadowOptions out;
  out.max_wait = Millis(600'000);
  return out;
}

// Model m: v1 answers, the others are its shadows.
struct ShadowFixture {
  explicit ShadowFixture(ShadowOptions options = patient()) : runner(tables, options) {
    observers.push_back(observers::make_statistics(unserved));
    observers.push_back(make_shadow_observer(runner));
  }

  const Model& add(std::unique_ptr<Model> model, std::shared_ptr<const ModelHost> apart = nullptr) {
    const Model& out = *model;
    const auto name = *VersionName::parse("v" + std::to_string(servables.size() + 1));
    servables.push_back(
        *make_servable_factory()->make(*ModelName::parse("m"), name, std::move(model), {}, 1,
                                       std::make_shared<Tally>(), std::move(apart)));
    return out;
  }
  const Doubler& add_doubler() {
    return static_cast<const Doubler&>(add(std::make_unique<Doubler>()));
  }

  // From now on all but v1 are shadows, or none is.
  void publish(bool with_shadows = true, double tolerance = 0.01) {
    auto made = std::make_shared<ModelEntry>(
        ModelEntry{*ModelName::parse("m"), {}, {}, {}, servables, {}, false});
    std::vector<VersionName> ready;
    for (const auto& servable : servables) ready.push_back(servable->version());
    routing::WeightedPlan plan;
    plan.arms = {ready[0]};
    plan.shares = {1};
    plan.model = "m";
    plan.tolerance = tolerance;
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
  NothingElse on_demand;
  std::vector<std::shared_ptr<const Servable>> servables;
  std::shared_ptr<const ModelEntry> entry;
  ShadowRunner runner;
  observers::EndCounts unserved;
  Observers observers;
  Pipeline pipeline{tables, observers, on_demand};
};

}  // namespace sluice::serving::testing
