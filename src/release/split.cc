// Fixed shares: {policy: split, weights: {v1: 0.9, v2: 0.1}}.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "release/builtin.h"
#include "release/option_types.h"

namespace sluice::release {
namespace {

constexpr double kSumTolerance = 1e-6;

struct SplitOptions {
  Weights weights;
  static const Schema<SplitOptions>& schema() {
    static const auto kSchema = Schema<SplitOptions>().option(
        "weights", &SplitOptions::weights, "each version's share of the traffic; they sum to 1");
    return kSchema;
  }
};

class Split final : public ReleasePolicy {
 public:
  Split(std::vector<VersionName> arms, std::vector<double> shares)
      : arms_(std::move(arms)), shares_(std::move(shares)) {}

  const std::vector<VersionName>& arms() const override { return arms_; }
  std::vector<double> start() override { return shares_; }
  std::size_t stable() const override {
    return static_cast<std::size_t>(std::ranges::max_element(shares_) - shares_.begin());
  }

  Result<Next> command(Command command, std::string_view version,
                       const Standing& standing) override {
    if (command != Command::kPromote) {
      return fail(Code::kAborted, "bad_state",
                  "a split has nothing to " + std::string(word_of(command)) +
                      "; set other weights, or promote one of its versions");
    }
    return promote_arm(arms_, version, standing);
  }

 private:
  const std::vector<VersionName> arms_;
  const std::vector<double> shares_;
};

class SplitMaker final : public ReleasePolicyMaker {
 public:
  Result<std::unique_ptr<ReleasePolicy>> make(const Node& options,
                                              const PolicyParts&) const override {
    SLUICE_TRY(const auto read, read_release<SplitOptions>(options));
    std::vector<VersionName> arms;
    std::vector<double> shares;
    double sum = 0;
    for (const auto& [name, weight] : read.weights.entries) {
      SLUICE_TRY(auto version, VersionName::parse(name));
      if (std::ranges::find(arms, version) != arms.end()) {
        return invalid("bad_release", "weights: version '" + name + "' is given twice");
      }
      if (!std::isfinite(weight) || weight < 0 || weight > 1) {
        return invalid(
            "bad_release",
            fmt::format("weights: that of {} is {}; it must be from 0 to 1", name, weight));
      }
      arms.push_back(std::move(version));
      shares.push_back(weight);
      sum += weight;
    }
    if (arms.empty()) {
      return invalid("bad_release", "a split needs weights, such as {\"v1\": 0.9, \"v2\": 0.1}");
    }
    SLUICE_CHECK(check_arms(arms));
    if (std::abs(sum - 1) > kSumTolerance) {
      return invalid("bad_release",
                     fmt::format("the weights must sum to 1; they sum to {:.6g}", sum));
    }
    return std::make_unique<Split>(std::move(arms), std::move(shares));
  }
};

}  // namespace

std::shared_ptr<const ReleasePolicyMaker> make_split() { return std::make_shared<SplitMaker>(); }

}  // namespace sluice::release
