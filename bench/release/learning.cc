// What the bandit says of its choices: probabilities, estimates of what would have been, and
// whether an arm that has become better is found.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/registry.h"
#include "groups.h"
#include "release/builtin.h"
#include "release/option_types.h"
#include "routing/builtin.h"
#include "runs.h"
#include "statistics/off_policy.h"

namespace bench {
namespace {

using namespace sluice;
using routing::BanditAlgorithm;
using routing::BanditArm;

const std::vector<double> kMeans = {0.5, 0.4, 0.3};
constexpr std::size_t kPulls = 10'000;

Registry<BanditAlgorithm> all_algorithms() {
  Registry<BanditAlgorithm> out;
  routing::register_builtin(out);
  return out;
}

std::size_t draw(const std::vector<double>& shares, Random& random) {
  double place = random.uniform();
  for (std::size_t i = 0; i + 1 < shares.size(); ++i) {
    if (place < shares[i]) return i;
    place -= shares[i];
  }
  return shares.size() - 1;
}

struct Logged {
  std::vector<bool> covered;  // by arm
  double off_by = 0;          // the sum of the probabilities from 1, at worst
};

// The algorithm chooses by its shares; each reward goes into the estimate of its arm.
Logged logged(const BanditAlgorithm& algorithm, Random& random) {
  std::vector<BanditArm> arms(kMeans.size());
  std::vector<statistics::OffPolicySums> sums(kMeans.size());
  Logged out;
  for (std::size_t i = 0; i < kPulls; ++i) {
    const auto shares = algorithm.shares(arms, {}, 1, random);
    double sum = 0;
    for (const double share : shares) sum += share;
    out.off_by = std::max(out.off_by, std::abs(sum - 1));
    const std::size_t arm = draw(shares, random);
    const double reward = random.uniform() < kMeans[arm] ? 1 : 0;
    arms[arm].rewards.add(reward);
    sums[arm].add(shares[arm], reward);
  }
  for (std::size_t i = 0; i < kMeans.size(); ++i) {
    const auto interval = sums[i].interval();
    out.covered.push_back(interval.low <= kMeans[i] && kMeans[i] <= interval.high);
  }
  return out;
}

void estimates(Report& report, std::uint64_t runs) {
  const auto algorithms = all_algorithms();
  const auto results = each_run("snips", runs, [&](Random& random) {
    return logged(*algorithms.find("epsilon_greedy"), random);
  });
  double off_by = 0;
  for (const auto& each : results) off_by = std::max(off_by, each.off_by);
  report.at_most("epsilon_greedy: the probabilities' sum from 1, at worst, in 1e-9",
                 {off_by * 1e9, 0, off_by * 1e9}, 1, "");
  for (std::size_t arm = 0; arm < kMeans.size(); ++arm) {
    const auto covered = count_if(results, [&](const auto& each) { return each.covered[arm]; });
    report.at_least(fmt::format("SNIPS, the 95 % interval holds the mean of arm {} ({:g})", arm + 1,
                                kMeans[arm]),
                    percent(covered, runs), 93, "%");
  }
}

// How far draws are from the probabilities that are stated beside, in standard deviations.
double deviation(const BanditAlgorithm& algorithm, Random& random) {
  std::vector<BanditArm> arms(kMeans.size());
  double sum = 0;
  double variance = 0;
  for (std::size_t i = 0; i < 500; ++i) {
    const auto shares = algorithm.shares(arms, {}, 1, random);
    const std::size_t arm = algorithm.pick(arms, {}, random);
    sum += (arm == 0 ? 1 : 0) - shares[0];
    variance += shares[0] * (1 - shares[0]);
    arms[arm].rewards.add(random.uniform() < kMeans[arm] ? 1 : 0);
  }
  return variance > 0 ? sum / std::sqrt(variance) : 0;
}

void propensities(Report& report, std::uint64_t runs) {
  const auto algorithms = all_algorithms();
  for (const char* name : {"epsilon_greedy", "thompson"}) {
    const auto values = each_run(fmt::format("propensity {}", name), runs, [&](Random& random) {
      return deviation(*algorithms.find(name), random);
    });
    // The mean of many standard deviates is normal again.
    const auto found = mean(values);
    const double scale = std::sqrt(static_cast<double>(runs));
    report.about(fmt::format("{}: picks against stated probabilities, in s.d.", name),
                 {found.value * scale, found.low * scale, found.high * scale}, 0, 3.9, "");
  }
}

// Arms are .6 and .4 for ten days, then the second is .8. Every hour brings 100 requests and new
// shares. Days until the second has the greater share; ten where it never has.
double found_after(const nlohmann::ordered_json& options, Random& random) {
  constexpr int kDays = 10;
  constexpr int kHours = 24;
  constexpr int kRequests = 100;
  const auto algorithms = all_algorithms();
  const auto policy = release::make_bandit()->make(release::node_of(options),
                                                   {.algorithms = algorithms, .seed = random()});
  if (!policy) return kDays;
  auto shares = (*policy)->start();
  for (int hour = 0; hour < 2 * kDays * kHours; ++hour) {
    const bool better = hour >= kDays * kHours;
    for (int i = 0; i < kRequests; ++i) {
      const std::size_t arm = draw(shares, random);
      Outcome outcome;
      outcome.choice.arm = static_cast<std::uint32_t>(arm);
      (*policy)->observe(outcome, shares[1]);
      const double mean = arm == 0 ? 0.6 : better ? 0.8 : 0.4;
      (*policy)->reward({.arm = arm,
                         .probability = shares[arm],
                         .share = shares[1],
                         .reward = random.uniform() < mean ? 1.0 : 0.0,
                         .right = {}});
    }
    const auto next = (*policy)->next({.shares = shares, .passed = std::chrono::hours(1)});
    if (next.shares) shares = *next.shares;
    if (better && shares[1] > shares[0]) return (hour + 1.0) / kHours - kDays;
  }
  return kDays;
}

void drift(Report& report, std::uint64_t runs) {
  nlohmann::ordered_json options = {{"arms", {"v1", "v2"}}, {"algorithm", "thompson"}, {"discount", 0.5}};
  const auto found = [&](const char* name) {
    return each_run(name, runs, [&](Random& random) { return found_after(options, random); });
  };
  const auto days = found("drift");
  report.at_least("thompson, discount 0.5 a day: a better arm is found within 10 days",
                  percent(count_if(days, [](double day) { return day < 10; }), runs), 99, "%");
  report.note("  days, median", quantile(days, 0.5), "");
  options.erase("discount");
  report.note("thompson without discount: days, median", quantile(found("steady"), 0.5), "");
  options["discount"] = 0.5;
  options["min_share"] = 0;
  report.note("thompson, discount 0.5 a day, no least share: days, median",
              quantile(found("no least"), 0.5), "");
}

}  // namespace

void learning(Report& report, std::uint64_t runs) {
  report.heading("What the bandits say of their choices, and arms that change");
  estimates(report, std::max<std::uint64_t>(5'000, runs));  // they are cheap
  propensities(report, std::max<std::uint64_t>(10, runs / 50));
  drift(report, std::max<std::uint64_t>(10, runs / 50));
}

}  // namespace bench
