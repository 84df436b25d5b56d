#include "release/option_types.h"

#include <algorithm>
#include <array>

#include "base/name_list.h"
#include "base/text.h"
#include "routing/slot_table.h"

namespace sluice {

std::string OptionType<release::Weights>::name() { return "mapping of versions to shares"; }
std::string OptionType<release::Weights>::show(const release::Weights&) { return "none"; }
void OptionType<release::Weights>::read(const Node& node, release::Weights& value,
                                        Problems& problems) {
  if (!expect_kind(node, Node::Kind::kMap, name(), problems)) return;
  for (const auto& entry : node.entries) {
    double weight = 0;
    const auto before = problems.size();
    OptionType<double>::read(entry.value, weight, problems);
    name_key(std::span(problems).subspan(before), entry.key);
    value.entries.emplace_back(entry.key, weight);
  }
}

namespace release {
namespace {

constexpr std::array kStates = {
    std::pair{State::kRunning, "running"}, std::pair{State::kPaused, "paused"},
    std::pair{State::kRolledBack, "rolled_back"}, std::pair{State::kPromoted, "promoted"},
    std::pair{State::kInconclusive, "inconclusive"}};

}  // namespace

std::string_view word_of(State state) {
  for (const auto& [each, word] : kStates) {
    if (each == state) return word;
  }
  return "running";
}

std::optional<State> state_of(std::string_view word) {
  for (const auto& [state, each] : kStates) {
    if (each == word) return state;
  }
  return std::nullopt;
}

std::string_view word_of(Command command) {
  switch (command) {
    case Command::kPromote: return "promote";
    case Command::kRollback: return "roll back";
    case Command::kPause: return "pause";
    case Command::kResume: return "resume";
  }
  return "";
}

Error release_error(const Problems& problems) {
  Error out{Code::kInvalidArgument, "bad_release", {}, {}};
  for (const auto& problem : problems) {
    out.message += (out.message.empty() ? "" : "; ") +
                   (problem.key.empty() ? "" : printable(problem.key) + ": ") + problem.message;
  }
  return out;
}

Result<void> check_arms(const std::vector<VersionName>& arms) {
  if (arms.size() <= routing::kMostArms) return {};
  return invalid("bad_release", "a release has at most " + std::to_string(routing::kMostArms) +
                                    " versions, not " + std::to_string(arms.size()));
}

Result<std::vector<VersionName>> parse_versions(const std::vector<std::string>& names,
                                                std::string_view what) {
  std::vector<VersionName> out;
  for (const auto& name : names) {
    SLUICE_TRY(auto version, VersionName::parse(name));
    if (std::ranges::find(out, version) != out.end()) {
      return invalid("bad_release", std::string(what) + ": version '" + name + "' is given twice");
    }
    out.push_back(std::move(version));
  }
  SLUICE_CHECK(check_arms(out));
  return out;
}

Result<Next> promote_arm(const std::vector<VersionName>& arms, std::string_view version,
                         const Standing& standing) {
  const auto found =
      std::ranges::find(arms, version, [](const VersionName& each) { return each.str(); });
  if (found == arms.end()) {
    std::vector<std::string> names;
    for (const auto& arm : arms) names.push_back(arm.str());
    return invalid("bad_release",
                   version.empty() ? "say which version is to be promoted: " + name_list(names)
                                   : "'" + printable(version) +
                                         "' is no arm of the release; it has " + name_list(names));
  }
  std::vector<double> shares(arms.size());
  shares[static_cast<std::size_t>(found - arms.begin())] = 1;
  if (standing.state == State::kPromoted && std::ranges::equal(shares, standing.shares)) {
    return fail(Code::kAborted, "bad_state", found->str() + " is promoted already");
  }
  Next out;
  out.shares = std::move(shares);
  out.decision =
      Decision{"promote", "Promoted " + found->str() + " by hand.", State::kPromoted, {}};
  return out;
}

Node node_of(const nlohmann::ordered_json& value) {
  Node out;
  if (value.is_object()) {
    out.kind = Node::Kind::kMap;
    for (const auto& [key, item] : value.items()) out.entries.push_back({key, {}, node_of(item)});
  } else if (value.is_array()) {
    out.kind = Node::Kind::kList;
    for (const auto& item : value) out.items.push_back(node_of(item));
  } else if (!value.is_null()) {
    out = Node::text(value.is_string() ? value.get<std::string>() : value.dump());
    out.quoted = value.is_string();
  }
  return out;
}

nlohmann::ordered_json json_of(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull: return nullptr;
    case Node::Kind::kMap: {
      auto out = nlohmann::ordered_json::object();
      for (const auto& entry : node.entries) out[entry.key] = json_of(entry.value);
      return out;
    }
    case Node::Kind::kList: {
      auto out = nlohmann::ordered_json::array();
      for (const auto& item : node.items) out.push_back(json_of(item));
      return out;
    }
    case Node::Kind::kScalar: break;
  }
  if (node.quoted) return node.scalar;
  if (node.scalar == "true" || node.scalar == "false") return node.scalar == "true";
  auto number = nlohmann::ordered_json::parse(node.scalar, nullptr, /*allow_exceptions=*/false);
  return number.is_number() ? number : nlohmann::ordered_json(node.scalar);
}

}  // namespace release
}  // namespace sluice
