// One model's release while it runs: its policy, who gets which version, what the arms have done,
// and the rewards that are still to come.
//
// Thread-safety: one owner. No clock, lock or disk inside.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/policy.h"
#include "release/feedback_book.h"
#include "release/policy.h"
#include "release/spec.h"
#include "routing/slot_table.h"
#include "statistics/latency_sketch.h"
#include "statistics/posterior.h"
#include "statistics/sample_ratio.h"
#include "statistics/unit_filter.h"

namespace sluice::release {

struct ArmStatistics {
  std::uint64_t requests = 0;  // answered or failed
  std::uint64_t errors = 0;
  std::uint64_t shed = 0;
  std::uint64_t client_errors = 0;
  statistics::LatencySketch latency;
  statistics::RewardSums rewards;
};

// What was told of a request: its true label, a reward, or both.
struct Feedback {
  std::string request_id;
  std::optional<double> label;
  std::optional<double> reward;
};

// What feedback was taken as.
struct Paid {
  std::size_t arm = 0;
  double reward = 0;
  double probability = 1;  // with which the arm was chosen
};

class RunningRelease {
 public:
  // `birth`: the revision that it begins with. `salt`: where the spec has none.
  RunningRelease(ModelName model, Spec spec, std::unique_ptr<ReleasePolicy> policy,
                 std::uint64_t birth, std::string salt, std::string source);

  // Users stay where they were, and what was learned of versions stays known.
  void keep_users_of(const RunningRelease& before);
  // What waits for feedback there waits here from now on. Last, when nothing can fail any more.
  void take_over_feedback(RunningRelease& before);
  // Only its shadows, or when they agree, are others than before: it stands where that one stands.
  bool changes_shadows_of(const RunningRelease& before) const;
  void go_on(const RunningRelease& before);

  void observe(const Outcome& outcome, WallMillis now);
  // What the policy wants after so much time: often nothing. It holds once it has been applied.
  // `hold`: see Standing.
  Next next(std::chrono::milliseconds passed, bool hold = false);
  Result<Next> command(Command command, std::string_view version);
  // What follows from an arm's version being gone; see ReleasePolicy::lost.
  std::optional<Next> lost(std::size_t arm);
  // Takes over what follows; the route changes with it.
  void apply(const Next& next);
  // Errors: kNotFound/`unknown_request`, kAborted/`repeated_feedback`, kNotFound/`expired`,
  // kInvalidArgument/`bad_reward`; then nothing has changed.
  Result<Paid> feedback(const Feedback& told, WallMillis now);
  // Users that were counted since they were last forgotten, for storage, and of another process'
  // life.
  std::string users_since() const;
  void forget_users_since() { new_users_.clear(); }
  void restore_users(const std::string& users);
  // Rewards that did not come in time.
  void expire(WallMillis now);

  std::shared_ptr<const Route> route() const;

  // For storage: what a decision has made of it, and what it has seen since.
  json document() const;
  json evidence() const;
  void restore(const json& document, const json& evidence);
  // Shares that were published after what it was restored from: those are what everybody follows.
  void catch_up(const json& document);

  json status() const;  // without history
  json bandit() const;  // per arm, or null where it learns from no rewards
  json weights() const;

  const ModelName& model() const { return model_; }
  // The same on every replica and after every restart, and another's never. Never 0.
  std::uint64_t id() const { return id_; }
  std::uint32_t epoch() const { return epoch_; }
  State state() const { return state_; }
  ReleasePolicy& policy() { return *policy_; }
  const ReleasePolicy& policy() const { return *policy_; }
  const Spec& spec() const { return spec_; }
  const std::string& source() const { return source_; }
  FeedbackBook& book() { return book_; }
  bool mismatch() const { return ratio_.alarm(); }

  std::uint64_t revision = 0;
  std::string declared;  // what model.yaml said of it when this was made
  bool dirty = false;    // there is evidence that was not saved
  // Among replicas: which happenings it has seen, as what its shares were last published, and from
  // when on these hold.
  std::uint64_t place = 0;
  std::uint64_t published = 0;
  WallMillis holds_from = 0;
  // It was the judge who changed them: nobody waits for it.
  bool patient = false;

 private:
  // Empty: they are not known any more.
  std::span<const double> shares_at(std::uint32_t epoch) const;
  void set_shares(std::vector<double> shares);
  void restore_shares(const json& from);
  Standing standing(std::chrono::milliseconds passed) const;
  void compare(std::size_t arm, std::uint64_t unit, std::span<const double> shares);
  void learn(const Outcome& outcome, WallMillis now);
  void pay(std::size_t arm, const Waiting& waiting, double reward, std::optional<bool> right);
  std::optional<bool> judged(double prediction, double label) const;

  const ModelName model_;
  const Spec spec_;
  const std::unique_ptr<ReleasePolicy> policy_;
  const std::uint64_t birth_;
  const std::uint64_t id_;
  std::string salt_;
  const std::string source_;
  State state_ = State::kRunning;
  std::vector<double> shares_;
  std::uint32_t epoch_ = 0;
  std::deque<std::pair<std::uint32_t, std::vector<double>>> earlier_;  // shares by epoch
  routing::SlotTable slots_;
  std::vector<ArmStatistics> arms_;
  statistics::SampleRatio ratio_;
  statistics::UnitFilter units_;
  std::vector<std::uint64_t> new_users_;
  FeedbackBook book_;
};

}  // namespace sluice::release
