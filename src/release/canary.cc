// A new version that gets a little of the traffic, then more, and is taken back as soon as it is
// worse: {policy: canary, stable: v1, canary: v2, start: 5, step: 10, target: 100, interval: 60s}.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "release/analysis.h"
#include "release/builtin.h"
#include "release/json_state.h"
#include "release/option_types.h"

namespace sluice::release {
namespace {

enum class Judge { kSequential, kSeed };
struct JudgeWords {
  static constexpr std::array<std::pair<std::string_view, Judge>, 2> kWords = {
      {{"sequential", Judge::kSequential}, {"seed", Judge::kSeed}}};
};

}  // namespace
}  // namespace sluice::release

namespace sluice {
template <>
struct OptionType<release::Judge> : WordOption<release::Judge, release::JudgeWords> {};
}  // namespace sluice

namespace sluice::release {
namespace {

struct CanaryOptions {
  std::string stable;
  std::string canary;
  double start = 5;  // percent of the traffic, as are step and target
  double step = 10;
  double target = 100;
  Millis interval{60'000};
  std::optional<Millis> max_duration;
  Judge analysis = Judge::kSequential;
  double alpha = 0.01;
  double max_error_ratio = 1.0;
  double max_p95_ratio = 1.5;
  Millis latency_slack{1};
  std::int64_t min_requests = 100;

  static const Schema<CanaryOptions>& schema() {
    using C = CanaryOptions;
    static const auto kSchema =
        Schema<C>()
            .option("stable", &C::stable, "the version that everybody has")
            .option("canary", &C::canary, "the version that is tried")
            .option("start", &C::start, "percent of the traffic that the canary begins with",
                    {between(0.01, 99.99)})
            .option("step", &C::step, "percent more after each interval", {between(0.01, 100.0)})
            .option("target", &C::target, "percent at which it is promoted when it holds",
                    {between(0.01, 100.0)})
            .option("interval", &C::interval, "how long it stays at each step",
                    {between(Millis(10), Millis(std::chrono::hours(24 * 30)))})
            .option("max_duration", &C::max_duration,
                    "after which a canary that is neither good nor bad is inconclusive",
                    {[](const std::optional<Millis>& value) -> std::optional<std::string> {
                      constexpr Millis kYear{std::chrono::hours(24 * 365)};
                      return value ? between(Millis(10), kYear)(*value) : std::nullopt;
                    }})
            .option("analysis", &C::analysis, "how it is judged")
            .option("alpha", &C::alpha, "how often a healthy canary may be taken back",
                    {between(1e-6, 0.5)})
            .option("max_error_ratio", &C::max_error_ratio,
                    "how many times stable's error rate is too bad", {between(1.0, 100.0)})
            .option("max_p95_ratio", &C::max_p95_ratio, "how many times slower is too slow",
                    {between(1.0, 100.0)})
            .option("latency_slack", &C::latency_slack,
                    "so much slower is nothing, whatever the ratio",
                    {between(Millis(0), Millis(60'000))})
            .option("min_requests", &C::min_requests,
                    "requests of the canary's before it can be promoted",
                    {between<std::int64_t>(1, 1'000'000'000)});
    return kSchema;
  }
};

std::unique_ptr<Analysis> analysis_of(const CanaryOptions& options) {
  if (options.analysis == Judge::kSeed) return make_seed_rule();
  AnalysisOptions out;
  out.alpha = options.alpha;
  out.max_error_ratio = options.max_error_ratio;
  out.max_p95_ratio = options.max_p95_ratio;
  out.latency_slack = static_cast<double>(options.latency_slack.count());
  out.min_requests = static_cast<std::uint64_t>(options.min_requests);
  return make_sequential(out);
}

// What is said, or a day more than the steps take.
Millis longest(const CanaryOptions& options) {
  if (options.max_duration) return *options.max_duration;
  const double steps = std::ceil((options.target - options.start) / options.step) + 1;
  return std::chrono::hours(24) +
         Millis(static_cast<std::int64_t>(steps * static_cast<double>(options.interval.count())));
}

std::string percent(double share) { return fmt::format("{:g} %", share * 100); }

class Canary final : public ReleasePolicy {
 public:
  Canary(CanaryOptions options, std::vector<VersionName> arms)
      : options_(std::move(options)), arms_(std::move(arms)), analysis_(analysis_of(options_)) {}

  const std::vector<VersionName>& arms() const override { return arms_; }
  std::vector<double> start() override { return shares(options_.start / 100); }

  void observe(const Outcome& outcome, double share) override {
    // What the client did wrong, and what there was no room for, says nothing of the version.
    if (outcome.ending == Ending::kShed || outcome.ending == Ending::kMistake) return;
    if (outcome.ending == Ending::kGuarded) return;
    analysis_->observe({.canary = outcome.choice.arm == 1,
                        .share = share,
                        .failed = outcome.ending == Ending::kFailed,
                        .unsound = outcome.unsound,
                        .millis = outcome.recalled ? -1 : double{outcome.millis},
                        .unit = outcome.choice.unit,
                        .at = outcome.at});
  }
  void reward(const Reward& reward) override {
    if (reward.right) analysis_->label(reward.arm == 1, reward.share, !*reward.right);
  }
  void learn(const statistics::Burstiness& bursts, std::uint64_t requests) override {
    analysis_->learn(bursts, requests);
  }

  Next next(const Standing& standing) override {
    if (standing.state == State::kRolledBack || standing.state == State::kPromoted) return {};
    // Also of one that is paused, or that nobody has decided about.
    if (analysis_->harmful()) return take_back(analysis_->verdict().why);
    if (standing.state != State::kRunning) return {};
    in_step_ += standing.passed;
    in_all_ += standing.passed;
    // While units get lost somewhere, the arms cannot be compared; and who is a step behind would
    // send users back to where they were.
    if (in_step_ < options_.interval || standing.mismatch || standing.hold) {
      return overdue(standing);
    }
    return advance(standing);
  }

  std::optional<Next> lost(std::size_t arm, const Standing& standing) override {
    const bool done = standing.state == State::kRolledBack || standing.state == State::kPromoted;
    if (arm != 1 || done) return std::nullopt;
    return take_back("it is not loaded any more");
  }

  Result<Next> command(Command command, std::string_view version,
                       const Standing& standing) override {
    switch (command) {
      case Command::kPromote: return promote(version, standing);
      case Command::kRollback:
        if (standing.state == State::kRolledBack) {
          return wrong(standing, "it is at " + stable_name() + " already");
        }
        return take_back("by hand");
      case Command::kPause:
        if (standing.state != State::kRunning)
          return wrong(standing, "only a running one can be paused");
        return decide("pause",
                      "Paused " + canary_name() + " at " + percent(standing.shares[1]) +
                          " by hand; it is still taken back if it does harm.",
                      State::kPaused);
      case Command::kResume: break;
    }
    if (standing.state != State::kPaused && standing.state != State::kInconclusive) {
      return wrong(standing, "only a paused or inconclusive one can be resumed");
    }
    in_step_ = in_all_ = Millis(0);
    return decide("resume",
                  "Resumed " + canary_name() + " at " + percent(standing.shares[1]) + " by hand.",
                  State::kRunning);
  }

  json evidence(std::size_t arm) const override {
    json out = json::object();
    if (arm != 1) return out;
    for (const auto& each : analysis_->evidence()) {
      if (each.contains("e")) out[each["metric"].get<std::string>()] = each["e"];
    }
    return out;
  }
  json summary(State state) const override {
    const auto verdict = analysis_->verdict();
    constexpr std::array<const char*, 3> kWords = {"open", "harmful", "safe"};
    const bool promoted = state == State::kPromoted;
    return {{"stable", promoted ? canary_name() : stable_name()},
            {"canary", promoted ? json() : json(canary_name())},
            {"before", promoted ? json(stable_name()) : json()},
            {"verdict", kWords[static_cast<std::size_t>(verdict.kind)]},
            {"verdict_reason", verdict.why},
            {"metrics", analysis_->evidence()},
            {"in_step_ms", in_step_.count()},
            {"running_ms", in_all_.count()}};
  }
  json state() const override {
    return {{"analysis", analysis_->state()},
            {"in_step", in_step_.count()},
            {"in_all", in_all_.count()}};
  }
  void restore(const json& state) override {
    analysis_->restore(part_of(state, "analysis"));
    in_step_ = Millis(static_cast<std::int64_t>(number_in(state, "in_step", 0)));
    in_all_ = Millis(static_cast<std::int64_t>(number_in(state, "in_all", 0)));
  }

 private:
  static std::vector<double> shares(double canary) {
    return {std::round((1 - canary) * 1e8) / 1e8, canary};
  }
  const std::string& stable_name() const { return arms_[0].str(); }
  const std::string& canary_name() const { return arms_[1].str(); }

  Next decide(std::string word, std::string reason, State state) const {
    Next out;
    out.decision = Decision{std::move(word), std::move(reason), state, analysis_->evidence()};
    return out;
  }
  Failure wrong(const Standing& standing, const std::string& why) const {
    return fail(Code::kAborted, "bad_state",
                "the canary is " + std::string(word_of(standing.state)) + ": " + why);
  }

  Next take_back(const std::string& why) const {
    auto out = decide("rollback",
                      "Rolled back " + canary_name() + " to " + stable_name() + ": " + why + ".",
                      State::kRolledBack);
    out.shares = shares(0);
    return out;
  }

  Result<Next> promote(std::string_view version, const Standing& standing) const {
    if (!version.empty() && version != canary_name()) {
      return invalid("bad_release", "only the canary, " + canary_name() + ", can be promoted");
    }
    if (standing.state == State::kPaused) return wrong(standing, "resume it before you promote it");
    if (standing.state == State::kRolledBack) {
      return wrong(standing, "start it again before you promote it");
    }
    if (standing.state == State::kPromoted)
      return wrong(standing, "there is nothing left to promote");
    auto out = decide("promote", "Promoted " + canary_name() + " by hand.", State::kPromoted);
    out.shares = shares(1);
    return out;
  }

  Next advance(const Standing& standing) {
    const double now = standing.shares[1];
    const double target = options_.target / 100;
    const auto verdict = analysis_->verdict();
    const bool safe = verdict.kind == Verdict::Kind::kSafe;
    if (now >= target - 1e-9) {
      if (!safe) return overdue(standing);
      auto out = decide(
          "promote",
          "Promoted " + canary_name() + ": it held " + percent(now) + "; " + verdict.why + ".",
          State::kPromoted);
      out.shares = shares(1);
      return out;
    }
    // In whole millionths of a percent, so that steps add up to what people expect.
    const double raised = std::round((now + options_.step / 100) * 1e8) / 1e8;
    const double next = std::min(raised, target);
    // With all of the traffic there is nothing left to compare with: that needs evidence.
    if (next >= 1 && !safe) return overdue(standing);
    in_step_ = Millis(0);
    auto out =
        decide("step",
               "Raised " + canary_name() + " from " + percent(now) + " to " + percent(next) +
                   (safe ? ": " : ": nothing speaks against it so far; ") + verdict.why + ".",
               State::kRunning);
    out.shares = shares(next);
    return out;
  }

  Next overdue(const Standing& standing) const {
    if (in_all_ < longest(options_)) return {};
    return decide(
        "inconclusive",
        fmt::format("{} stays at {} and is not promoted: after {:.3g} seconds {}.", canary_name(),
                    percent(standing.shares[1]), static_cast<double>(in_all_.count()) / 1000,
                    standing.mismatch ? "some of its users get lost" : analysis_->verdict().why),
        State::kInconclusive);
  }

  const CanaryOptions options_;
  const std::vector<VersionName> arms_;  // stable, canary
  const std::unique_ptr<Analysis> analysis_;
  Millis in_step_{0};
  Millis in_all_{0};
};

class CanaryMaker final : public ReleasePolicyMaker {
 public:
  Result<std::unique_ptr<ReleasePolicy>> make(const Node& node, const PolicyParts&) const override {
    SLUICE_TRY(auto options, read_release<CanaryOptions>(node));
    if (options.stable.empty() || options.canary.empty()) {
      return invalid("bad_release", "a canary needs both, stable and canary: the versions");
    }
    if (options.stable == options.canary) {
      return invalid("bad_release",
                     "stable and canary are the same version, '" + options.stable + "'");
    }
    if (options.target < options.start) {
      return invalid("bad_release", fmt::format("target ({:g}) is below start ({:g})",
                                                options.target, options.start));
    }
    SLUICE_TRY(auto arms, parse_versions({options.stable, options.canary}, "canary"));
    return std::make_unique<Canary>(std::move(options), std::move(arms));
  }
};

}  // namespace

std::shared_ptr<const ReleasePolicyMaker> make_canary() { return std::make_shared<CanaryMaker>(); }

}  // namespace sluice::release
