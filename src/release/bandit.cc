// Arms that get the more traffic the more they bring: {policy: bandit, arms: [v1, v2],
// algorithm: thompson}. Which arm is best is learned from rewards, which may come late, in any
// order, or never.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/random.h"
#include "base/text.h"
#include "release/builtin.h"
#include "release/json_state.h"
#include "release/option_types.h"
#include "statistics/off_policy.h"

namespace sluice::release {
namespace {

enum class Rewards { kBernoulli, kGaussian };
struct RewardWords {
  static constexpr std::array<std::pair<std::string_view, Rewards>, 2> kWords = {
      {{"bernoulli", Rewards::kBernoulli}, {"gaussian", Rewards::kGaussian}}};
};

}  // namespace
}  // namespace sluice::release

namespace sluice {
template <>
struct OptionType<release::Rewards> : WordOption<release::Rewards, release::RewardWords> {};
}  // namespace sluice

namespace sluice::release {
namespace {

using statistics::OffPolicySums;
using statistics::RewardSums;

constexpr std::chrono::hours kDay{24};
constexpr double kCredible = 0.95;
// How often the shares follow what was learned.
constexpr Millis kShares{100};

struct BanditSpec {
  std::vector<std::string> arms;
  std::string algorithm = "thompson";
  double epsilon = 0.1;
  double decay = 0;
  Rewards rewards = Rewards::kBernoulli;
  Millis reward_ttl{std::chrono::hours(24)};
  std::optional<double> default_reward;
  double discount = 1;
  std::optional<double> min_share;
  bool sticky = false;

  static const Schema<BanditSpec>& schema() {
    using B = BanditSpec;
    static const auto kSchema =
        Schema<B>()
            .option("arms", &B::arms, "the versions that are tried")
            .option("algorithm", &B::algorithm, "epsilon_greedy | ucb1 | thompson")
            .option("epsilon", &B::epsilon, "of epsilon_greedy: how much goes to any arm",
                    {between(0.0, 1.0)})
            .option("decay", &B::decay, "epsilon is divided by 1 + decay * rewards",
                    {between(0.0, 1000.0)})
            .option("rewards", &B::rewards, "what rewards are like: 0 to 1, or any number")
            .option("reward_ttl", &B::reward_ttl, "how long a reward may take to come",
                    {between(Millis(1), Millis(std::chrono::hours(24 * 30)))})
            .option("default_reward", &B::default_reward,
                    "what one that does not come in time is worth; else it counts as nothing")
            .option("discount", &B::discount, "what a reward is still worth after a day",
                    {between(0.001, 1.0)})
            .option("min_share", &B::min_share, "what every arm gets at least",
                    {[](const std::optional<double>& value) -> std::optional<std::string> {
                      return value ? between(0.0, 0.5)(*value) : std::nullopt;
                    }})
            .option("sticky", &B::sticky, "a user stays with his arm while shares allow it");
    return kSchema;
  }
};

// So that an arm that has become better is noticed.
constexpr double kMinShare = 0.01;

class Bandit final : public ReleasePolicy {
 public:
  Bandit(BanditSpec spec, std::vector<VersionName> arms, const routing::BanditAlgorithm& algorithm,
         std::uint64_t seed)
      : spec_(std::move(spec)),
        arms_(std::move(arms)),
        algorithm_(algorithm),
        options_{spec_.epsilon, spec_.decay, spec_.rewards == Rewards::kGaussian},
        random_(seed),
        state_(arms_.size()),
        off_policy_(arms_.size()),
        pulls_(arms_.size()) {}

  const std::vector<VersionName>& arms() const override { return arms_; }
  bool sticky() const override { return spec_.sticky; }
  std::vector<double> start() override { return shares(); }
  Millis reward_ttl() const override { return spec_.reward_ttl; }
  std::optional<double> default_reward() const override { return spec_.default_reward; }
  std::size_t stable() const override { return best(); }

  void observe(const Outcome& outcome, double) override {
    ++pulls_[outcome.choice.arm];
    ++pulled_;
  }
  void pending(std::span<const double> pending) override {
    for (std::size_t i = 0; i < state_.size(); ++i) state_[i].pending = pending[i];
  }

  Result<void> check_reward(double reward) const override {
    if (!std::isfinite(reward)) return invalid("bad_reward", "a reward must be a finite number");
    if (algorithm_.unit_rewards(options_) && (reward < 0 || reward > 1)) {
      return invalid("bad_reward",
                     fmt::format("{} is no reward of this bandit: {} takes rewards from 0 to 1",
                                 reward, spec_.algorithm) +
                         (spec_.algorithm == "thompson" ? ", or any with rewards: gaussian" : ""));
    }
    return {};
  }
  void reward(const Reward& reward) override {
    state_[reward.arm].rewards.add(reward.reward);
    off_policy_[reward.arm].add(reward.probability, reward.reward);
    learned_ = true;
  }

  Next next(const Standing& standing) override {
    waited_ += standing.passed;
    if (waited_ < kShares) return {};
    fade(std::exchange(waited_, Millis(0)));
    if (standing.state != State::kRunning || (!learned_ && pulled_ == 0)) return {};
    Next out;
    out.shares = shares();
    if (std::ranges::equal(*out.shares, standing.shares)) out.shares.reset();
    learned_ = false;
    pulled_ = 0;
    return out;
  }

  Result<Next> command(Command command, std::string_view version,
                       const Standing& standing) override {
    Next out;
    switch (command) {
      case Command::kPromote: return promote_arm(arms_, version, standing);
      case Command::kPause:
        if (standing.state != State::kRunning) break;
        out.decision =
            Decision{"pause", "Paused by hand: the shares stay as they are.", State::kPaused, {}};
        return out;
      case Command::kResume:
        if (standing.state == State::kRunning) break;
        out.decision = Decision{"resume", "Resumed by hand.", State::kRunning, {}};
        out.shares = shares();
        return out;
      case Command::kRollback: break;
    }
    return fail(Code::kAborted, "bad_state",
                "the bandit is " + std::string(word_of(standing.state)) + ": there is nothing to " +
                    std::string(word_of(command)));
  }

  json evidence(std::size_t arm) const override { return arm_json(arm); }
  json summary(State) const override {
    json arms = json::object();
    for (std::size_t i = 0; i < arms_.size(); ++i) arms[arms_[i].str()] = arm_json(i);
    return {{"algorithm", spec_.algorithm},
            {"rewards", options_.gaussian ? "gaussian" : "bernoulli"},
            {"best", arms_[best()].str()},
            {"bandit", arms}};
  }
  json state() const override {
    json out = json::object();
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      out["arms"].push_back({{"rewards", to_json(state_[i].rewards)},
                             {"off_policy", to_json(off_policy_[i])},
                             {"pulls", pulls_[i]}});
    }
    out["random"] = random_.state();
    return out;
  }
  void restore(const json& state) override {
    inherit(arms_, state);
    const auto& random = part_of(state, "random");
    if (!random.is_array() || random.size() != 4) return;
    Random::State words{};
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (!random[i].is_number_unsigned()) return;
      words[i] = random[i].get<std::uint64_t>();
    }
    random_.restore(words);
  }
  void inherit(const std::vector<VersionName>& arms, const json& state) override {
    const auto& from = part_of(state, "arms");
    if (!from.is_array() || from.size() != arms.size()) return;
    for (std::size_t i = 0; i < arms.size(); ++i) {
      const auto place = std::ranges::find(arms_, arms[i]);
      if (place == arms_.end()) continue;
      const auto arm = static_cast<std::size_t>(place - arms_.begin());
      pulls_[arm] = count_in(from[i], "pulls");
      RewardSums rewards;
      from_json_state(part_of(from[i], "rewards"), rewards);
      if (!takes(rewards)) continue;
      state_[arm].rewards = rewards;
      from_json_state(part_of(from[i], "off_policy"), off_policy_[arm]);
    }
    learned_ = true;
  }

 private:
  // Rewards of an algorithm that takes any are no evidence for one that takes 0 to 1.
  bool takes(const RewardSums& sums) const {
    const double rounding = 1e-9 * sums.count;
    return !algorithm_.unit_rewards(options_) ||
           (0 <= sums.squares && sums.squares <= sums.sum + rounding &&
            sums.sum <= sums.count + rounding);
  }
  std::vector<double> shares() {
    auto out = algorithm_.shares(state_, options_, pulled_, random_);
    const auto count = static_cast<double>(out.size());
    const double least = std::min(spec_.min_share.value_or(kMinShare), 1 / count);
    for (double& share : out) share = least + (1 - least * count) * share;
    return out;
  }

  void fade(Millis passed) {
    if (spec_.discount >= 1 || passed.count() == 0) return;
    const double days = std::chrono::duration<double>(passed) / std::chrono::duration<double>(kDay);
    for (auto& arm : state_) arm.rewards.fade(std::pow(spec_.discount, days));
  }

  std::size_t best() const {
    return static_cast<std::size_t>(
        std::ranges::max_element(state_, {}, [](const auto& arm) { return arm.rewards.mean(); }) -
        state_.begin());
  }

  json arm_json(std::size_t arm) const {
    const RewardSums& rewards = state_[arm].rewards;
    const auto interval = options_.gaussian ? statistics::gaussian_interval(rewards, kCredible)
                                            : statistics::bernoulli_interval(rewards, kCredible);
    std::uint64_t all = 0;
    for (const auto pulls : pulls_) all += pulls;
    const OffPolicySums& off = off_policy_[arm];
    json out = {{"count", pulls_[arm]},
                {"rewards", rewards.count},
                {"avg_reward", rewards.mean()},
                {"selection_rate",
                 all == 0 ? 0.0 : static_cast<double>(pulls_[arm]) / static_cast<double>(all)},
                {"interval", {interval.low, interval.high}},
                {"pending", state_[arm].pending}};
    if (off.weights > 0) {
      const auto estimate = off.interval();
      out["off_policy"] = {{"estimate", off.estimate()},
                           {"interval", {estimate.low, estimate.high}}};
    }
    return out;
  }

  const BanditSpec spec_;
  const std::vector<VersionName> arms_;
  const routing::BanditAlgorithm& algorithm_;
  const routing::BanditOptions options_;
  Random random_;
  std::vector<routing::BanditArm> state_;
  std::vector<OffPolicySums> off_policy_;
  std::vector<std::uint64_t> pulls_;
  Millis waited_{0};
  std::size_t pulled_ = 0;  // since the shares were made
  bool learned_ = false;
};

class BanditMaker final : public ReleasePolicyMaker {
 public:
  Result<std::unique_ptr<ReleasePolicy>> make(const Node& node,
                                              const PolicyParts& parts) const override {
    SLUICE_TRY(auto spec, read_release<BanditSpec>(node));
    if (spec.arms.size() < 2) {
      return invalid("bad_release", "a bandit needs at least two arms, such as [v1, v2]");
    }
    const auto* algorithm = parts.algorithms.find(spec.algorithm);
    if (algorithm == nullptr) {
      return invalid("bad_release", "algorithm: '" + printable(spec.algorithm) +
                                        "' is not one of " + join_and(parts.algorithms.names()));
    }
    SLUICE_TRY(auto arms, parse_versions(spec.arms, "arms"));
    auto out = std::make_unique<Bandit>(std::move(spec), std::move(arms), *algorithm, parts.seed);
    if (const auto reward = out->default_reward()) SLUICE_CHECK(out->check_reward(*reward));
    return out;
  }
};

}  // namespace

std::shared_ptr<const ReleasePolicyMaker> make_bandit() { return std::make_shared<BanditMaker>(); }

}  // namespace sluice::release
