#include "release/json_state.h"

#include <algorithm>

namespace sluice::release {
namespace {

template <class T>
std::vector<T> list_of(const json& from) {
  std::vector<T> out;
  if (!from.is_array()) return out;
  for (const auto& item : from) {
    if (!item.is_number()) return {};
    out.push_back(item.get<T>());
  }
  return out;
}

}  // namespace

json parsed(const std::string& text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string canonical_text(const json& value) {
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

const json& part_of(const json& from, const char* key) {
  static const json kNull;
  if (!from.is_object()) return kNull;
  const auto found = from.find(key);
  return found == from.end() ? kNull : *found;
}

double number_in(const json& from, const char* key, double otherwise) {
  const auto& part = part_of(from, key);
  return part.is_number() ? part.get<double>() : otherwise;
}

std::uint64_t count_in(const json& from, const char* key, std::uint64_t otherwise) {
  const auto& part = part_of(from, key);
  return part.is_number_unsigned() ? part.get<std::uint64_t>() : otherwise;
}

bool flag_in(const json& from, const char* key, bool otherwise) {
  const auto& part = part_of(from, key);
  return part.is_boolean() ? part.get<bool>() : otherwise;
}

std::string text_in(const json& from, const char* key, const std::string& otherwise) {
  const auto& part = part_of(from, key);
  return part.is_string() ? part.get<std::string>() : otherwise;
}

json to_json(const statistics::EProcess& process) { return process.state(); }
void from_json_state(const json& from, statistics::EProcess& to) {
  const auto values = list_of<double>(from);
  statistics::EProcess::State state{};
  if (values.size() != state.size()) return;
  std::ranges::copy(values, state.begin());
  to.restore(state);
}

json to_json(const statistics::Burstiness& bursts) {
  const auto state = bursts.state();
  json blocks = json::array();
  for (const auto& each : state.blocks) {
    blocks.push_back({each.index, each.current, each.sum, each.squares});
  }
  return {{"blocks", blocks}, {"events", state.events}, {"last", state.last}};
}
void from_json_state(const json& from, statistics::Burstiness& to) {
  statistics::Burstiness::State state;
  const auto& blocks = part_of(from, "blocks");
  if (!blocks.is_array() || blocks.size() != state.blocks.size()) return;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto values = list_of<std::uint64_t>(blocks[i]);
    if (values.size() != 4) return;
    state.blocks[i] = {values[0], values[1], values[2], values[3]};
  }
  state.events = count_in(from, "events");
  state.last = count_in(from, "last");
  to.restore(state);
}

json to_json(const statistics::LatencySketch& sketch) { return sketch.text(); }
void from_json_state(const json& from, statistics::LatencySketch& to) {
  if (from.is_string()) to.restore(from.get<std::string>());
}

json to_json(const statistics::SampleRatio& ratio) {
  const auto state = ratio.state();
  return {{"seen", state.seen},
          {"expected", state.expected},
          {"log_e", state.log_e},
          {"alarm", state.alarm}};
}
void from_json_state(const json& from, statistics::SampleRatio& to) {
  if (!from.is_object()) return;
  to.restore({list_of<double>(part_of(from, "seen")), list_of<double>(part_of(from, "expected")),
              number_in(from, "log_e", 0), flag_in(from, "alarm")});
}

json to_json(const statistics::RewardSums& sums) { return {sums.count, sums.sum, sums.squares}; }
void from_json_state(const json& from, statistics::RewardSums& to) {
  const auto values = list_of<double>(from);
  if (values.size() == 3) to = {values[0], values[1], values[2]};
}

json to_json(const statistics::OffPolicySums& sums) {
  return {sums.weights, sums.weighted, sums.squares, sums.squares_reward, sums.squares_rewards};
}
void from_json_state(const json& from, statistics::OffPolicySums& to) {
  const auto values = list_of<double>(from);
  if (values.size() == 5) to = {values[0], values[1], values[2], values[3], values[4]};
}

}  // namespace sluice::release
