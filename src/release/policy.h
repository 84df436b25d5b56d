// One way to let traffic from one version to another: split, canary, bandit.
//
// A policy says at any time which share of the traffic each of its arms should get. It is told how
// requests ended and what they were worth, and is asked now and then what follows. No clock, lock
// or disk inside: time is handed in, so that simulations and tests run the very code that decides.
//
// To add one: write `release/<name>.cc` with a ReleasePolicy and its maker, declare the maker in
// `release/builtin.h`, and register it with one line in `release/builtin.cc`.
//
// Thread-safety: one owner.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/document.h"
#include "base/error.h"
#include "base/names.h"
#include "base/random.h"
#include "core/outcome.h"
#include "core/registry.h"
#include "routing/bandit_algorithm.h"
#include "routing/weighted.h"
#include "statistics/burstiness.h"

namespace sluice::release {

using json = nlohmann::ordered_json;

enum class State { kRunning, kPaused, kRolledBack, kPromoted, kInconclusive };
std::string_view word_of(State state);
std::optional<State> state_of(std::string_view word);

// Something that is worth remembering: kept for ever with its time and shown to people.
struct Decision {
  // "start", "step", "pause", "resume", "promote", "rollback", "inconclusive", "remove"
  std::string word;
  std::string reason;  // one sentence with the numbers behind it
  State state = State::kRunning;
  nlohmann::ordered_json numbers;  // the same for machines
};

// What follows from what was seen.
struct Next {
  std::optional<std::vector<double>> shares;  // by arm; sum to 1
  std::optional<Decision> decision;
};

// Where the release stands when a policy is asked.
struct Standing {
  State state = State::kRunning;
  std::span<const double> shares;
  std::chrono::milliseconds passed{0};  // since it was last asked
  bool mismatch = false;  // some units get lost: nothing that the arms say can be compared
  // Not every replica follows the last change yet: only what protects users may be decided.
  bool hold = false;
};

enum class Command { kPromote, kRollback, kPause, kResume };
std::string_view word_of(Command command);

struct Reward {
  std::size_t arm = 0;
  double probability = 1;  // with which the arm was chosen
  // Of the second arm, then: what a comparison of two arms needs to know of the mix of users. Of
  // more arms than two nobody looks at it.
  double share = 0;
  double reward = 0;
  std::optional<bool> right;  // where the label was told: whether the prediction was right
};

class ReleasePolicy {
 public:
  virtual ~ReleasePolicy() = default;

  virtual const std::vector<VersionName>& arms() const = 0;
  // Whether a user stays with his arm.
  virtual bool sticky() const { return true; }
  // Only those whose choice was this release's come here. `second_share`: see Reward.
  virtual void observe(const Outcome& outcome, double second_share) {
    (void)outcome;
    (void)second_share;
  }
  // Requests whose reward is still to come, by arm.
  virtual void pending(std::span<const double> pending) { (void)pending; }
  // Whether such a reward can be taken. Errors: kInvalidArgument/`bad_reward`.
  virtual Result<void> check_reward(double reward) const {
    (void)reward;
    return {};
  }
  virtual void reward(const Reward& reward) { (void)reward; }
  // How long a reward may take to come, and what one that does not come is worth.
  virtual std::chrono::milliseconds reward_ttl() const { return std::chrono::hours(24); }
  virtual std::optional<double> default_reward() const { return std::nullopt; }

  // How requests find their arm: by shares, unless the policy knows a way of its own. `plan` has
  // what a route must say of its choices.
  virtual std::shared_ptr<const Route> route(routing::WeightedPlan plan) const {
    return routing::make_weighted(std::move(plan));
  }

  // The shares at the beginning.
  virtual std::vector<double> start() = 0;
  // Asked about a hundred times a second.
  virtual Next next(const Standing& standing) {
    (void)standing;
    return {};
  }
  // By hand. `version`: of `promote`, may be empty. Errors: kAborted/`bad_state`,
  // kInvalidArgument, kNotFound.
  virtual Result<Next> command(Command command, std::string_view version,
                               const Standing& standing) = 0;

  // The version of an arm is not loaded any more: what follows. Nothing: its traffic goes to the
  // other arms, and the release goes on.
  virtual std::optional<Next> lost(std::size_t arm, const Standing& standing) {
    (void)arm;
    (void)standing;
    return std::nullopt;
  }
  // How the stable arm's errors came together before.
  virtual void learn(const statistics::Burstiness& bursts, std::uint64_t requests) {
    (void)bursts;
    (void)requests;
  }
  // The arm that requests are read for while it has a share; the first, where one leads to another.
  virtual std::size_t stable() const { return 0; }
  // What speaks for and against each arm, by arm.
  virtual nlohmann::ordered_json evidence(std::size_t arm) const {
    (void)arm;
    return nlohmann::ordered_json::object();
  }
  // Of the whole release, for `status`.
  virtual nlohmann::ordered_json summary(State state) const {
    (void)state;
    return nlohmann::ordered_json::object();
  }
  virtual nlohmann::ordered_json state() const { return nlohmann::ordered_json::object(); }
  virtual void restore(const nlohmann::ordered_json& state) { (void)state; }
  // What an earlier release of the same kind has learned of versions that are arms here too.
  virtual void inherit(const std::vector<VersionName>& arms, const nlohmann::ordered_json& state) {
    (void)arms;
    (void)state;
  }
};

struct PolicyParts {
  const Registry<routing::BanditAlgorithm>& algorithms;
  std::uint64_t seed = 0;  // of what is drawn by chance
};

// Reads the policy's own keys of a release. Thread-safety: immutable.
class ReleasePolicyMaker {
 public:
  virtual ~ReleasePolicyMaker() = default;
  // Errors: kInvalidArgument/`bad_release` with every mistake.
  virtual Result<std::unique_ptr<ReleasePolicy>> make(const Node& options,
                                                      const PolicyParts& parts) const = 0;
};

}  // namespace sluice::release
