// What of a release is stored, and how it is taken up again: the storing half of
// running_release.h.
#include "release/json_state.h"
#include "release/running_release.h"

namespace sluice::release {

json RunningRelease::document() const {
  return {{"spec", spec_.document}, {"state", word_of(state_)},        {"shares", shares_},
          {"salt", salt_},          {"slots", slots_.text()},          {"source", source_},
          {"declared", declared},   {"policy_state", policy_->state()}};
}

json RunningRelease::evidence() const {
  json arms = json::array();
  for (const auto& arm : arms_) {
    arms.push_back({{"requests", arm.requests},
                    {"errors", arm.errors},
                    {"shed", arm.shed},
                    {"client_errors", arm.client_errors},
                    {"latency", to_json(arm.latency)},
                    {"rewards", to_json(arm.rewards)}});
  }
  return {{"revision", revision},
          {"salt", salt_},
          {"shares", shares_},
          {"slots", slots_.text()},
          {"arms", std::move(arms)},
          {"ratio", to_json(ratio_)},
          {"policy_state", policy_->state()}};
}

void RunningRelease::restore(const json& document, const json& evidence) {
  if (const auto state = state_of(text_in(document, "state"))) state_ = *state;
  salt_ = text_in(document, "salt", salt_);
  declared = text_in(document, "declared");
  // Evidence of before a decision has nothing to add to what was written with it, except how often
  // the arms were asked.
  const bool newer = count_in(evidence, "revision") == revision;
  const json& from = newer ? evidence : document;
  const auto& shares = part_of(from, "shares");
  if (shares.is_array() && shares.size() == shares_.size()) {
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      if (shares[i].is_number()) shares_[i] = shares[i].get<double>();
    }
  }
  if (auto slots = routing::SlotTable::parse(text_in(from, "slots"))) slots_ = *slots;
  policy_->restore(part_of(from, "policy_state"));
  earlier_.assign(1, {epoch_, shares_});
  if (text_in(evidence, "salt") != salt_) return;
  const auto& arms = part_of(evidence, "arms");
  for (std::size_t i = 0; i < arms_.size() && arms.is_array() && arms.size() == arms_.size(); ++i) {
    arms_[i].requests = count_in(arms[i], "requests");
    arms_[i].errors = count_in(arms[i], "errors");
    arms_[i].shed = count_in(arms[i], "shed");
    arms_[i].client_errors = count_in(arms[i], "client_errors");
    from_json_state(part_of(arms[i], "latency"), arms_[i].latency);
    from_json_state(part_of(arms[i], "rewards"), arms_[i].rewards);
  }
  from_json_state(part_of(evidence, "ratio"), ratio_);
}

}  // namespace sluice::release
