// `analysis: seed`: the rule of the document that started it all. After 100 of the canary's
// predictions it goes when its error rate is above twice stable's, or its p95 above 1.5 times.
// It takes a third to two thirds of healthy canaries back (docs/performance.md); it is here for
// comparison. A failed prediction is one, too.
#include <fmt/format.h>

#include <array>

#include "release/analysis.h"
#include "release/json_state.h"

namespace sluice::release {
namespace {

constexpr std::uint64_t kEnough = 100;
constexpr double kErrorRatio = 2;
constexpr double kLatencyRatio = 1.5;

class SeedRule final : public Analysis {
 public:
  void observe(const Observation& seen) override {
    Arm& arm = arms_[seen.canary ? 1 : 0];
    ++arm.predictions;
    if (seen.failed) ++arm.errors;
    if (!seen.failed && seen.millis >= 0) arm.latency.add(seen.millis);
  }
  void answered(bool canary, std::uint64_t count) override {
    arms_[canary ? 1 : 0].predictions += count;
  }
  void label(bool, double, bool) override {}
  void learn(const statistics::Burstiness&, std::uint64_t) override {}

  bool harmful() const override { return verdict().kind == Verdict::Kind::kHarmful; }

  Verdict verdict() const override {
    const Arm& stable = arms_[0];
    const Arm& canary = arms_[1];
    // The seed goes on where it does not know.
    if (canary.predictions < kEnough) return {Verdict::Kind::kSafe, "there is not enough data"};
    if (canary.error_rate() > stable.error_rate() * kErrorRatio) {
      return {Verdict::Kind::kHarmful,
              fmt::format("its error rate is {:.2f} %, more than twice stable's {:.2f} %",
                          100 * canary.error_rate(), 100 * stable.error_rate())};
    }
    const double p95 = canary.latency.quantile(0.95);
    const double stable_p95 = stable.latency.quantile(0.95);
    if (stable.latency.count() > 0 && p95 > stable_p95 * kLatencyRatio) {
      return {Verdict::Kind::kHarmful,
              fmt::format("its p95 is {:.3g} ms, more than 1.5 times stable's {:.3g} ms", p95,
                          stable_p95)};
    }
    return {Verdict::Kind::kSafe, "the seed's rule finds nothing"};
  }

  json evidence() const override {
    return json::array(
        {{{"metric", "errors"},
          {"stable", {{"requests", arms_[0].predictions}, {"bad", arms_[0].errors}}},
          {"canary", {{"requests", arms_[1].predictions}, {"bad", arms_[1].errors}}}},
         {{"metric", "latency"},
          {"stable", {{"p95", arms_[0].latency.quantile(0.95)}}},
          {"canary", {{"p95", arms_[1].latency.quantile(0.95)}}}}});
  }
  json state() const override {
    json out = json::array();
    for (const Arm& arm : arms_) {
      out.push_back({{"predictions", arm.predictions},
                     {"errors", arm.errors},
                     {"latency", to_json(arm.latency)}});
    }
    return out;
  }
  void restore(const json& state) override {
    if (!state.is_array() || state.size() != arms_.size()) return;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      arms_[i].predictions = count_in(state[i], "predictions");
      arms_[i].errors = count_in(state[i], "errors");
      from_json_state(part_of(state[i], "latency"), arms_[i].latency);
    }
  }

 private:
  struct Arm {
    std::uint64_t predictions = 0;
    std::uint64_t errors = 0;
    statistics::LatencySketch latency;
    double error_rate() const {
      return predictions == 0 ? 0 : static_cast<double>(errors) / static_cast<double>(predictions);
    }
  };
  std::array<Arm, 2> arms_;
};

}  // namespace

std::unique_ptr<Analysis> make_seed_rule() { return std::make_unique<SeedRule>(); }

}  // namespace sluice::release
