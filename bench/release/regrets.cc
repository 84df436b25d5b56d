// What the bandits lose against always taking the best arm: 10,000 pulls, rewards of 0 and 1.
//
// Expected: the table of shared/statistics.md, 4.3, from a simulation of another make (NumPy, 1,000
// runs).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <string>
#include <vector>

#include "core/registry.h"
#include "groups.h"
#include "routing/builtin.h"
#include "runs.h"

namespace bench {
namespace {

using sluice::Random;
using sluice::routing::BanditAlgorithm;
using sluice::routing::BanditArm;

constexpr std::size_t kPulls = 10'000;
constexpr std::size_t kDelay = 1'000;
constexpr double kTableRuns = 1'000;

struct Expected {
  double regret = 0;
  double deviation = 0;  // of one run; 0: the table does not say
};

struct Problem {
  const char* name;
  std::vector<double> means;  // the best first
  Expected epsilon, ucb, thompson;
  double thompson_late, ucb_late;  // rewards come 1,000 pulls later
  double best_share = 0;           // Thompson's, in percent; 0: no target
};

std::vector<double> ten(double best, double others) {
  std::vector<double> out(10, others);
  out[0] = best;
  return out;
}

std::vector<Problem> problems() {
  return {{".9/.6", {.9, .6}, {152, 9}, {47, 10.8}, {5.5, 3.3}, 153, 152, 97},
          {".9/.8", {.9, .8}, {56, 14}, {88, 16}, {10.7, 13.7}, 55, 161, 95},
          {".55/.45", {.55, .45}, {65, 37}, {87, 21}, {20.1, 22.6}, 60, 156},
          {".05/.04", {.05, .04}, {21.5, 27}, {42, 3}, {16.9, 15}, 20, 42},
          {"10 arms .9, .6", ten(.9, .6), {295, 45}, {414, 32}, {49, 12}, 314, 2107},
          {"10 arms .9, .8", ten(.9, .8), {141, 87}, {594, 31}, {82.8, 23}, 172, 893},
          {"10 arms .5, .4", ten(.5, .4), {215, 183}, {0, 0}, {163.5, 43}, 248, 892},
          {"10 arms .1, .05, .02, .01",
           {.1, .05, .05, .05, .02, .02, .02, .01, .01, .01},
           {132, 96},
           {502, 16},
           {81, 15},
           124,
           664}};
}

struct Played {
  double regret = 0;
  double best_share = 0;
};

struct Pull {
  std::size_t arm;
  bool reward;
};

Played play(const BanditAlgorithm& algorithm, const std::vector<double>& means, std::size_t delay,
            Random& random) {
  std::vector<BanditArm> arms(means.size());
  std::deque<Pull> late;
  Played out;
  for (std::size_t i = 0; i < kPulls; ++i) {
    const std::size_t arm = algorithm.pick(arms, {}, random);
    out.regret += means[0] - means[arm];
    out.best_share += arm == 0 ? 1.0 / kPulls : 0;
    arms[arm].pending += 1;
    late.push_back({arm, random.uniform() < means[arm]});
    if (late.size() <= delay) continue;
    arms[late.front().arm].pending -= 1;
    arms[late.front().arm].rewards.add(late.front().reward ? 1 : 0);
    late.pop_front();
  }
  return out;
}

struct Result {
  std::vector<double> regrets;
  std::vector<double> best_shares;  // percent
};

Result played(const std::string& cell, const BanditAlgorithm& algorithm, const Problem& problem,
              std::size_t delay, std::uint64_t runs) {
  const auto all = each_run(
      cell, runs, [&](Random& random) { return play(algorithm, problem.means, delay, random); });
  Result out;
  for (const auto& each : all) {
    out.regrets.push_back(each.regret);
    out.best_shares.push_back(100 * each.best_share);
  }
  return out;
}

// Within 15 % or three standard errors, of both sides together.
double room(const Expected& expected, const std::vector<double>& regrets) {
  const double ours = standard_error(regrets);
  const double theirs = expected.deviation / std::sqrt(kTableRuns);
  return std::max(0.15 * expected.regret, 3 * std::hypot(ours, theirs));
}

double gap_of_chance(const std::vector<double>& means) {
  double sum = 0;
  for (const double mean : means) sum += means[0] - mean;
  return sum / static_cast<double>(means.size());
}

}  // namespace

void regrets(Report& report, std::uint64_t runs) {
  const std::uint64_t count = std::max<std::uint64_t>(20, runs / 10);
  report.heading(fmt::format("Regret of 10,000 pulls, mean of {} runs", count));
  sluice::Registry<BanditAlgorithm> algorithms;
  sluice::routing::register_builtin(algorithms);
  for (const Problem& problem : problems()) {
    const auto name = [&](const char* what) { return fmt::format("{}, {}", problem.name, what); };
    const auto compare = [&](const char* what, const char* key, const Expected& expected) {
      const auto result = played(name(what), *algorithms.find(key), problem, 0, count);
      if (expected.regret == 0) {
        report.note(name(what), mean(result.regrets), "");
      } else {
        report.about(name(what), mean(result.regrets), expected.regret,
                     room(expected, result.regrets), "");
      }
      return result;
    };
    compare("epsilon_greedy", "epsilon_greedy", problem.epsilon);
    compare("ucb1", "ucb1", problem.ucb);
    const auto thompson = compare("thompson", "thompson", problem.thompson);
    if (problem.best_share > 0) {
      report.at_least(name("thompson, the best arm's share"), mean(thompson.best_shares),
                      problem.best_share, "%");
    }
    const auto late = played(name("late"), *algorithms.find("thompson"), problem, kDelay, count);
    report.at_most(
        name("thompson, rewards 1,000 pulls late"), mean(late.regrets),
        static_cast<double>(kDelay) * gap_of_chance(problem.means) + 1.3 * problem.thompson.regret,
        "");
    const auto ucb = played(name("ucb late"), *algorithms.find("ucb1"), problem, kDelay, count);
    report.note(fmt::format("{}, ucb1, rewards 1,000 pulls late (without pending: {:g})",
                            problem.name, problem.ucb_late),
                mean(ucb.regrets), "");
  }
}

}  // namespace bench
