// How the options of releases are read, and what policies have in common.
//
// Thread-safety: functions without state.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/option.h"
#include "release/policy.h"

namespace sluice::release {

// `weights: {v1: 0.9, v2: 0.1}`, in the order of the text.
struct Weights {
  std::vector<std::pair<std::string, double>> entries;
};

// All mistakes as one sentence.
Error release_error(const Problems& problems);
// The keys that every release has, beside its policy's own.
std::string common_keys();

template <class Options>
Result<Options> read_release(const Node& node) {
  Options out;
  Problems problems;
  Options::schema().read(node, out, problems);
  if (problems.empty()) return out;
  auto error = release_error(problems);
  const auto known = Options::schema().keys();
  const bool unknown = std::ranges::any_of(node.entries, [&](const auto& entry) {
    return std::ranges::find(known, std::string_view(entry.key)) == known.end();
  });
  if (unknown) error.message += "; every release also has " + common_keys();
  return Failure(std::move(error));
}

// The number of arms.
Result<void> check_arms(const std::vector<VersionName>& arms);
Result<std::vector<VersionName>> parse_versions(const std::vector<std::string>& names,
                                                std::string_view what);

// Everything to one arm, by hand.
Result<Next> promote_arm(const std::vector<VersionName>& arms, std::string_view version,
                         const Standing& standing);

// JSON as the same tree that YAML is read into.
Node node_of(const nlohmann::ordered_json& value);
nlohmann::ordered_json json_of(const Node& node);

}  // namespace sluice::release

namespace sluice {
SLUICE_OPTION_TYPE(release::Weights)
}  // namespace sluice
