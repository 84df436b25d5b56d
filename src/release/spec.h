// What a user says of a release, in JSON or in model.yaml: the keys that all policies have in
// common, and the policy's own.
//
// Thread-safety: plain values.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/policy.h"
#include "core/registry.h"
#include "release/policy.h"
#include "routing/assignment.h"

namespace sluice::release {

struct Spec {
  std::string policy;               // empty: only shadows are given
  nlohmann::ordered_json document;  // as it was said, without the revision
  Node own;                         // the policy's own keys
  std::vector<VersionName> shadows;
  double tolerance = 0.01;  // predictions no further apart agree
  routing::Assignment assignment = routing::Assignment::kHash;
  std::string salt;                       // empty: one is chosen
  std::optional<std::uint64_t> revision;  // that this is to replace
};

// Errors: kInvalidArgument/`bad_release`.
Result<Spec> parse_spec(const nlohmann::ordered_json& body);
Result<Spec> parse_spec(const Node& declared);

// The policies that exist, and what they are made with.
struct Policies {
  Registry<ReleasePolicyMaker> makers;
  Registry<routing::BanditAlgorithm> algorithms;

  static Policies builtin();
  // Errors: kInvalidArgument/`bad_release`.
  Result<std::unique_ptr<ReleasePolicy>> make(const Spec& spec) const;
};

// The salt of a release that has none: of one in model.yaml the same on every start.
std::string declared_salt(std::string_view declared);
std::string random_salt();

// The route that the policy's arms have with these shares: what of it follows from both.
routing::WeightedPlan plan_of(const Spec& spec, const ReleasePolicy& policy,
                              std::vector<double> shares);

// What model.yaml's `release:` means for the traffic before anybody has acted on it.
Result<std::shared_ptr<const Route>> declared_route(const Policies& policies,
                                                    const ModelName& model, const Node& declared);

}  // namespace sluice::release
