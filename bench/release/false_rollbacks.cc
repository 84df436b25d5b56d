// How often a healthy canary is taken back, looked at after every event.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "groups.h"
#include "release/testing/traffic.h"
#include "runs.h"

namespace bench {
namespace {

using namespace sluice::release;
using testing::Ending;
using testing::Traffic;

constexpr double kAlpha = 0.01;
constexpr double kShares[] = {0.01, 0.1, 0.5};
constexpr double kRates[] = {0.001, 0.01, 0.05};
// The seed's rule is only shown beside: a twentieth of the runs is enough to see what it does.
constexpr std::uint64_t kSeedPart = 20;

using MakeJudge = std::unique_ptr<Analysis> (*)();
std::unique_ptr<Analysis> sequential() { return make_sequential({}); }
std::unique_ptr<Analysis> seed_rule() { return make_seed_rule(); }

Measured harmed(const std::string& cell, const Traffic& traffic, std::uint64_t runs,
                MakeJudge make) {
  const auto endings = each_run(cell, runs, [&](sluice::Random& random) {
    const auto judge = make();
    return testing::until_harmful(traffic, *judge, random).kind;
  });
  return percent(count_if(endings, [](auto kind) { return kind == Ending::Kind::kHarmful; }), runs);
}

void cell(Report& report, const std::string& name, const Traffic& traffic, std::uint64_t runs) {
  const auto n = static_cast<double>(runs);
  const double bound = kAlpha + 3 * std::sqrt(kAlpha * (1 - kAlpha) / n);
  report.at_most(name, harmed(name, traffic, runs, sequential), 100 * std::ceil(bound * 1e4) / 1e4,
                 "%");
  const std::uint64_t few = std::max<std::uint64_t>(10, runs / kSeedPart);
  report.note("  seed's rule", harmed(name, traffic, few, seed_rule), "%");
}

}  // namespace

void false_rollbacks(Report& report, std::uint64_t runs) {
  report.heading("Healthy canaries that are taken back, of those with 100,000 requests");
  const auto rate_cells = [&](std::string_view what, const Traffic& like) {
    for (const double rate : kRates) {
      Traffic traffic = like;
      traffic.stable_errors = traffic.canary_errors = rate;
      cell(report, fmt::format("{}, errors {:g} %", what, 100 * rate), traffic, runs);
    }
  };
  for (const double share : kShares) {
    rate_cells(fmt::format("share {:g} %", 100 * share), {.share = share});
  }
  rate_cells("share 10 %, tenfold swing in a day", {.share = 0.1, .swing = 10});
  rate_cells("share 1, 5, 25, 50 % one after the other", {.ramp = {0.01, 0.05, 0.25, 0.5}});
  for (const std::uint64_t burst : {2, 5, 20}) {
    for (const double share : {0.1, 0.5}) {
      rate_cells(fmt::format("share {:g} %, bursts of {}", 100 * share, burst),
                 {.share = share, .burst = burst});
    }
  }
  report.heading("Canaries that are exactly 1.5 times slower, of those with 10,000 requests");
  for (const double sigma : {0.7, 1.2}) {
    cell(report, fmt::format("share 10 %, lognormal, sigma {:g}", sigma),
         {.limit = 10'000, .durations = testing::Durations{.sigma = sigma, .times = 1.5}}, runs);
  }
}

}  // namespace bench
