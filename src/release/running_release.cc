#include "release/running_release.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "observers/evidence.h"
#include "release/json_state.h"
#include "routing/weighted.h"

namespace sluice::release {
namespace {

// Requests that were chosen by shares older than so many changes are not compared any more.
constexpr std::size_t kEpochs = 256;

std::uint64_t id_of(const ModelName& model, std::uint64_t birth) {
  return hash64(model.str() + "/" + std::to_string(birth)) | 1;
}

}  // namespace

RunningRelease::RunningRelease(ModelName model, Spec spec, std::unique_ptr<ReleasePolicy> policy,
                               std::uint64_t birth, std::string salt, std::string source)
    : model_(std::move(model)),
      spec_(std::move(spec)),
      policy_(std::move(policy)),
      birth_(birth),
      id_(id_of(model_, birth)),
      salt_(spec_.salt.empty() ? std::move(salt) : spec_.salt),
      source_(std::move(source)),
      shares_(policy_->start()),
      slots_(shares_),
      arms_(policy_->arms().size()),
      ratio_(arms_.size()),
      book_(arms_.size()) {
  earlier_.emplace_back(epoch_, shares_);
}

void RunningRelease::keep_users_of(const RunningRelease& before) {
  if (before.spec_.policy != spec_.policy) return;
  if (spec_.salt.empty() || spec_.salt == before.salt_) {
    salt_ = before.salt_;
    std::vector<std::size_t> was;
    const auto& old = before.policy_->arms();
    for (const auto& arm : policy_->arms()) {
      const auto found = std::ranges::find(old, arm);
      was.push_back(found == old.end() ? routing::SlotTable::kNone
                                       : static_cast<std::size_t>(found - old.begin()));
    }
    slots_ = before.slots_.moved_to(shares_, was);
  }
  policy_->inherit(before.policy_->arms(), before.policy_->state());
}

bool RunningRelease::changes_shadows_of(const RunningRelease& before) const {
  const auto rest = [](json document) {
    document.erase("shadow");
    document.erase("agreement");
    return canonical_text(document);
  };
  return canonical_text(spec_.document) != canonical_text(before.spec_.document) &&
         rest(spec_.document) == rest(before.spec_.document);
}

void RunningRelease::go_on(const RunningRelease& before) {
  const auto revision_now = std::exchange(revision, before.revision);
  const auto declared_now = declared;
  restore(before.document(), before.evidence());
  revision = revision_now;
  declared = declared_now;
  units_ = before.units_;
}

void RunningRelease::take_over_feedback(RunningRelease& before) {
  if (before.spec_.policy != spec_.policy) return;
  std::vector<std::size_t> becomes;
  for (const auto& arm : before.policy_->arms()) {
    const auto found = std::ranges::find(policy_->arms(), arm);
    becomes.push_back(found == policy_->arms().end()
                          ? FeedbackBook::kGone
                          : static_cast<std::size_t>(found - policy_->arms().begin()));
  }
  book_.adopt(before.book_, becomes);
}

std::string RunningRelease::users_since() const {
  std::string out(new_users_.size() * sizeof(std::uint64_t), '\0');
  if (!new_users_.empty()) std::memcpy(out.data(), new_users_.data(), out.size());
  return out;
}

void RunningRelease::restore_users(const std::string& users) {
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= users.size();
       at += sizeof(std::uint64_t)) {
    std::uint64_t unit = 0;
    std::memcpy(&unit, users.data() + at, sizeof(unit));
    units_.add(unit);
  }
}

std::span<const double> RunningRelease::shares_at(std::uint32_t epoch) const {
  for (auto it = earlier_.rbegin(); it != earlier_.rend(); ++it) {
    if (it->first == epoch) return it->second;
  }
  return {};
}

void RunningRelease::set_shares(std::vector<double> shares) {
  if (policy_->sticky()) slots_ = slots_.moved_to(shares);
  shares_ = std::move(shares);
  earlier_.emplace_back(++epoch_, shares_);
  if (earlier_.size() > kEpochs) earlier_.pop_front();
}

void RunningRelease::observe(const Outcome& outcome, WallMillis now) {
  const std::size_t arm = outcome.choice.arm;
  if (arm >= arms_.size()) return;
  dirty = true;
  ArmStatistics& seen = arms_[arm];
  switch (outcome.ending) {
    case Ending::kShed: ++seen.shed; break;
    case Ending::kMistake:
    case Ending::kGuarded: ++seen.client_errors; break;
    case Ending::kFailed: ++seen.errors; [[fallthrough]];
    case Ending::kAnswered:
      ++seen.requests;
      if (outcome.ending == Ending::kAnswered) seen.latency.add(outcome.millis);
      break;
  }
  const auto shares = shares_at(outcome.choice.epoch);
  // Of a replica that was cut off for long it is not known any more what shares it was chosen by:
  // it has happened all the same.
  if (!shares.empty()) compare(arm, outcome.choice.unit, shares);
  policy_->observe(outcome, shares.size() > 1 ? shares[1] : 0);
  learn(outcome, now);
}

// Whether the arms get the users that they should.
void RunningRelease::compare(std::size_t arm, std::uint64_t unit, std::span<const double> shares) {
  const bool alone = unit == 0 || !policy_->sticky();
  const bool counts = alone || (!units_.full() && units_.add(unit));
  if (counts) ratio_.add(arm, shares);
  if (counts && !alone) new_users_.push_back(unit);
}

// What may still be said of it, or was said with it.
void RunningRelease::learn(const Outcome& outcome, WallMillis now) {
  if (outcome.ending != Ending::kAnswered) return;
  const auto shares = shares_at(outcome.choice.epoch);
  Waiting waiting{.arm = outcome.choice.arm,
                  .probability = outcome.choice.probability,
                  .share = shares.size() > 1 ? static_cast<float>(shares[1]) : 0,
                  .prediction = outcome.prediction,
                  .at = now};
  if (!std::isnan(outcome.label)) {
    const auto right = judged(outcome.prediction, outcome.label);
    if (right && policy_->check_reward(*right ? 1 : 0)) {
      waiting.answered = 1;
      pay(waiting.arm, waiting, *right ? 1 : 0, right);
    }
  }
  if (outcome.id != RequestKey{}) book_.add(outcome.id, waiting);
}

std::optional<bool> RunningRelease::judged(double prediction, double label) const {
  if (std::isnan(prediction) || std::isnan(label)) return std::nullopt;
  return std::abs(prediction - label) <= spec_.tolerance;
}

void RunningRelease::pay(std::size_t arm, const Waiting& waiting, double reward,
                         std::optional<bool> right) {
  arms_[arm].rewards.add(reward);
  policy_->reward({.arm = arm,
                   .probability = double{waiting.probability},
                   .share = double{waiting.share},
                   .reward = reward,
                   .right = right});
  dirty = true;
}

Result<Paid> RunningRelease::feedback(const Feedback& told, WallMillis now) {
  const auto id = observers::request_key(told.request_id);
  const Waiting* found = book_.find(id);
  if (found == nullptr) {
    return not_found("unknown_request", "no prediction with this request_id waits for feedback");
  }
  const Waiting waiting = *found;
  if (now - waiting.at > policy_->reward_ttl().count()) {
    return not_found("expired", "the feedback comes too late: reward_ttl is over");
  }
  if (waiting.answered != 0) {
    return fail(Code::kAborted, "repeated_feedback",
                "this prediction has had its feedback already");
  }
  std::optional<bool> right;
  if (told.label) {
    right = judged(waiting.prediction, *told.label);
    if (!right) {
      return invalid("bad_reward",
                     "the prediction was not a single number, so that true_label cannot be "
                     "compared with it; send a reward");
    }
  }
  const double reward = told.reward ? *told.reward : *right ? 1 : 0;
  if (!std::isfinite(reward)) return invalid("bad_reward", "a reward must be a finite number");
  SLUICE_CHECK(policy_->check_reward(reward));
  book_.answer(id);
  pay(waiting.arm, waiting, reward, right);
  return Paid{waiting.arm, reward, double{waiting.probability}};
}

void RunningRelease::expire(WallMillis now) {
  const auto missed = book_.expire(now - policy_->reward_ttl().count());
  const auto worth = policy_->default_reward();
  if (!worth) return;
  for (const auto& waiting : missed) pay(waiting.arm, waiting, *worth, std::nullopt);
}

Standing RunningRelease::standing(std::chrono::milliseconds passed) const {
  return {state_, shares_, passed, ratio_.alarm(), /*hold=*/false};
}

Next RunningRelease::next(std::chrono::milliseconds passed, bool hold) {
  policy_->pending(book_.pending());
  Standing now = standing(passed);
  now.hold = hold;
  return policy_->next(now);
}

Result<Next> RunningRelease::command(Command command, std::string_view version) {
  return policy_->command(command, version, standing({}));
}

std::optional<Next> RunningRelease::lost(std::size_t arm) {
  return policy_->lost(arm, standing({}));
}

void RunningRelease::apply(const Next& next) {
  if (next.decision) state_ = next.decision->state;
  if (next.shares) set_shares(*next.shares);
}

std::shared_ptr<const Route> RunningRelease::route() const {
  auto plan = plan_of(spec_, *policy_, shares_);
  plan.release = id_;
  plan.epoch = epoch_;
  plan.slots = slots_;
  plan.model = model_.str();
  plan.salt = salt_;
  plan.shadows = spec_.shadows;
  plan.tolerance = spec_.tolerance;
  return policy_->route(std::move(plan));
}

json RunningRelease::weights() const {
  json out = json::object();
  for (std::size_t i = 0; i < shares_.size(); ++i) out[policy_->arms()[i].str()] = shares_[i];
  return out;
}

json RunningRelease::status() const {
  json arms = json::object();
  json units = json::object();
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    const auto& arm = arms_[i];
    const auto& name = policy_->arms()[i].str();
    json out = {{"requests", arm.requests},
                {"errors", arm.errors},
                {"error_rate", arm.requests == 0 ? 0.0
                                                 : static_cast<double>(arm.errors) /
                                                       static_cast<double>(arm.requests)},
                {"shed", arm.shed},
                {"client_errors", arm.client_errors},
                {"p50", arm.latency.quantile(0.5)},
                {"p95", arm.latency.quantile(0.95)},
                {"evidence", policy_->evidence(i)}};
    if (arm.rewards.count > 0) {
      out["rewards"] = arm.rewards.count;
      out["avg_reward"] = arm.rewards.mean();
    }
    arms[name] = std::move(out);
    units[name] = ratio_.seen()[i];
  }
  json shadows = json::array();
  for (const auto& shadow : spec_.shadows) shadows.push_back(shadow.str());
  return {{"model", model_.str()},
          {"policy", spec_.policy},
          {"state", word_of(state_)},
          {"revision", revision},
          {"source", source_},
          {"salt", salt_},
          {"sticky", policy_->sticky()},
          {"assignment", spec_.assignment == routing::Assignment::kSeed ? "seed" : "hash"},
          {"weights", weights()},
          {"spec", spec_.document},
          {"shadow", std::move(shadows)},
          {"arms", std::move(arms)},
          {"summary", policy_->summary(state_)},
          {"sample_ratio",
           {{"e", std::exp(std::min(ratio_.log_e(), 700.0))},
            {"alarm", ratio_.alarm()},
            {"units", std::move(units)}}},
          {"feedback", {{"pending", book_.pending()}, {"given_up", book_.given_up()}}}};
}

json RunningRelease::bandit() const {
  const auto summary = policy_->summary(state_);
  return part_of(summary, "bandit");
}

}  // namespace sluice::release
