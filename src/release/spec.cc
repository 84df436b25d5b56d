#include "release/spec.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/random.h"
#include "base/text.h"
#include "release/builtin.h"
#include "release/json_state.h"
#include "release/option_types.h"
#include "routing/builtin.h"
#include "routing/weighted.h"

namespace sluice::release {
namespace {

struct AssignmentWords {
  static constexpr std::array<std::pair<std::string_view, routing::Assignment>, 2> kWords = {
      {{"hash", routing::Assignment::kHash}, {"seed", routing::Assignment::kSeed}}};
};

struct Agreement {
  double tolerance = 0.01;
  static const Schema<Agreement>& schema() {
    static const auto kSchema =
        Schema<Agreement>().option("tolerance", &Agreement::tolerance,
                                   "predictions no further apart agree", {between(0.0, 1e300)});
    return kSchema;
  }
};

}  // namespace
}  // namespace sluice::release

namespace sluice {
template <>
struct OptionType<routing::Assignment> : WordOption<routing::Assignment, release::AssignmentWords> {
};
}  // namespace sluice

namespace sluice::release {
namespace {

// The keys that every policy has.
struct Common {
  std::string policy;
  std::vector<std::string> shadow;
  Agreement agreement;
  routing::Assignment assignment = routing::Assignment::kHash;
  std::string salt;
  std::optional<std::int64_t> revision;

  static const Schema<Common>& schema() {
    using C = Common;
    static const auto kSchema =
        Schema<C>()
            .option("policy", &C::policy, "split | canary | bandit")
            .option("shadow", &C::shadow, "versions that are asked too, without anybody hearing")
            .option("agreement", &C::agreement, "when two predictions agree")
            .option("assignment", &C::assignment, "how users are assigned")
            .option("salt", &C::salt, "another one is another shuffle of the users")
            .option("revision", &C::revision, "the revision that this replaces");
    return kSchema;
  }
};

constexpr std::size_t kMostSalt = 128;

}  // namespace

Result<Spec> parse_spec(const nlohmann::ordered_json& body) {
  if (!body.is_object()) return invalid("wrong_type", "a release must be a JSON object");
  return parse_spec(node_of(body));
}

Result<Spec> parse_spec(const Node& declared) {
  Node common;
  common.kind = Node::Kind::kMap;
  Spec out;
  out.own.kind = Node::Kind::kMap;
  out.own.place = declared.place;
  const auto keys = Common::schema().keys();
  for (const auto& entry : declared.entries) {
    const bool shared = std::ranges::find(keys, entry.key) != keys.end();
    (shared ? common : out.own).entries.push_back(entry);
  }
  SLUICE_TRY(const auto read, read_release<Common>(common));
  SLUICE_TRY(out.shadows, parse_versions(read.shadow, "shadow"));
  if (read.salt.size() > kMostSalt) {
    return invalid("bad_release", "the salt has more than 128 characters");
  }
  if (read.revision && *read.revision < 0) {
    return invalid("bad_release", "the revision must not be negative");
  }
  out.policy = read.policy;
  out.tolerance = read.agreement.tolerance;
  out.assignment = read.assignment;
  out.salt = read.salt;
  if (read.revision) out.revision = static_cast<std::uint64_t>(*read.revision);
  out.document = json_of(declared);
  if (out.document.is_object()) out.document.erase("revision");
  if (out.policy.empty() && (out.shadows.empty() || !out.own.entries.empty())) {
    return invalid("bad_release", "a release needs a policy, such as \"policy\": \"canary\"");
  }
  return out;
}

std::string common_keys() {
  std::vector<std::string> out;
  for (const auto key : Common::schema().keys()) out.emplace_back(key);
  return join_and(out);
}

Policies Policies::builtin() {
  Policies out;
  register_builtin(out.makers);
  routing::register_builtin(out.algorithms);
  return out;
}

Result<std::unique_ptr<ReleasePolicy>> Policies::make(const Spec& spec) const {
  const auto* maker = makers.find(spec.policy);
  if (maker == nullptr) {
    return invalid("bad_release", "policy: '" + printable(spec.policy) + "' is not one of " +
                                      join_and(makers.names()));
  }
  SLUICE_TRY(auto policy, maker->make(spec.own, {algorithms, random_seed()}));
  for (const auto& shadow : spec.shadows) {
    if (std::ranges::find(policy->arms(), shadow) == policy->arms().end()) continue;
    return invalid("bad_release", "shadow: " + shadow.str() +
                                      " answers users already; a shadow must be another version");
  }
  return policy;
}

std::string declared_salt(std::string_view declared) {
  return fmt::format("{:016x}", hash64(declared));
}

std::string random_salt() { return fmt::format("{:016x}", random_seed()); }

Result<std::shared_ptr<const Route>> declared_route(const Policies& policies,
                                                    const ModelName& model, const Node& declared) {
  SLUICE_TRY(const auto spec, parse_spec(declared));
  if (spec.policy.empty()) return std::shared_ptr<const Route>();
  SLUICE_TRY(const auto policy, policies.make(spec));
  // Nobody learns from it and no shadow is asked: there is no release yet.
  auto plan = plan_of(spec, *policy, policy->start());
  plan.slots = routing::SlotTable(plan.shares);
  plan.model = model.str();
  plan.salt = spec.salt.empty() ? declared_salt(canonical_text(json_of(declared))) : spec.salt;
  return policy->route(std::move(plan));
}

routing::WeightedPlan plan_of(const Spec& spec, const ReleasePolicy& policy,
                              std::vector<double> shares) {
  routing::WeightedPlan out;
  out.arms = policy.arms();
  out.shares = std::move(shares);
  out.assignment = spec.assignment;
  out.reference = policy.stable();
  out.sticky = policy.sticky();
  return out;
}

}  // namespace sluice::release
