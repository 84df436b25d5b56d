// What of a release is stored, and how it is taken up again: the storing half of
// running_release.h.
#include <algorithm>

#include "release/json_state.h"
#include "release/running_release.h"

namespace sluice::release {
namespace {

// Shares of before that are stored: requests that were chosen by older ones have long ended.
constexpr std::size_t kKeptEpochs = 32;

json epochs_of(const std::deque<std::pair<std::uint32_t, std::vector<double>>>& earlier) {
  json out = json::array();
  const std::size_t first = earlier.size() - std::min(earlier.size(), kKeptEpochs);
  for (std::size_t i = first; i < earlier.size(); ++i) {
    out.push_back({earlier[i].first, earlier[i].second});
  }
  return out;
}

bool read_shares(const json& from, std::vector<double>& to) {
  if (!from.is_array() || from.size() != to.size()) return false;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (from[i].is_number()) to[i] = from[i].get<double>();
  }
  return true;
}

}  // namespace

json RunningRelease::document() const {
  return {{"spec", spec_.document},
          {"state", word_of(state_)},
          {"birth", birth_},
          {"shares", shares_},
          {"epochs", epochs_of(earlier_)},
          {"salt", salt_},
          {"slots", slots_.text()},
          {"source", source_},
          {"declared", declared},
          {"place", place},
          {"policy_state", policy_->state()}};
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
          {"epochs", epochs_of(earlier_)},
          {"slots", slots_.text()},
          {"place", place},
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
  restore_shares(from);
  place = count_in(from, "place");
  policy_->restore(part_of(from, "policy_state"));
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

// With those of before, so that requests which were chosen by them are still understood.
void RunningRelease::restore_shares(const json& from) {
  read_shares(part_of(from, "shares"), shares_);
  if (auto slots = routing::SlotTable::parse(text_in(from, "slots"))) slots_ = *slots;
  earlier_.clear();
  const auto& epochs = part_of(from, "epochs");
  for (const auto& entry : epochs.is_array() ? epochs : json::array()) {
    std::vector<double> shares(shares_.size());
    const bool good = entry.is_array() && entry.size() == 2 && entry[0].is_number_unsigned() &&
                      read_shares(entry[1], shares);
    if (good) earlier_.emplace_back(entry[0].get<std::uint32_t>(), std::move(shares));
  }
  if (earlier_.empty()) earlier_.emplace_back(0, shares_);
  epoch_ = earlier_.back().first;
}

void RunningRelease::catch_up(const json& document) {
  const auto& epochs = part_of(document, "epochs");
  const bool newer = epochs.is_array() && !epochs.empty() && epochs.back().is_array() &&
                     !epochs.back().empty() && epochs.back()[0].is_number_unsigned() &&
                     epochs.back()[0].get<std::uint32_t>() > epoch_;
  if (newer && count_in(document, "birth") == birth_) restore_shares(document);
}

}  // namespace sluice::release
