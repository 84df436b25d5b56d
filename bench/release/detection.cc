// How soon a bad canary is found out, and how often one is promoted.
#include <fmt/format.h>

#include <memory>

#include "groups.h"
#include "release/testing/traffic.h"
#include "runs.h"

namespace bench {
namespace {

using namespace sluice::release;
using testing::Ending;
using testing::Traffic;

// The canary's first requests say nothing of its speed.
constexpr std::uint64_t kWarmUp = 50;

// The canary's requests from the first bad one until it is taken back; where it is not, its limit.
std::vector<double> delays(const std::string& cell, const Traffic& traffic, std::uint64_t runs) {
  const auto endings = each_run(cell, runs, [&](sluice::Random& random) {
    const auto judge = make_sequential({});
    return testing::until_harmful(traffic, *judge, random);
  });
  std::vector<double> out;
  for (const auto& ending : endings) {
    const auto healthy = std::min(traffic.healthy, ending.canary_requests);
    out.push_back(static_cast<double>(ending.canary_requests - healthy));
  }
  return out;
}

struct Worse {
  const char* what;
  double rate;
  double q;
  double bound;
};
constexpr Worse kWorse[] = {{"errors 1 % to 10 %", 0.10, 0.5, 80},
                            {"errors 1 % to 3 %", 0.03, 0.5, 800},
                            {"errors 1 % to 100 %", 1.00, 0.99, 10}};

void errors(Report& report, std::uint64_t runs) {
  for (const auto& [what, rate, q, bound] : kWorse) {
    for (const std::uint64_t healthy : {std::uint64_t{0}, kWarmUp}) {
      const auto name =
          fmt::format("share 10 %, {} {}, {}", what, healthy == 0 ? "at once" : "after warm-up",
                      q == 0.5 ? "median" : "p99");
      const Traffic traffic{.canary_errors = rate, .healthy = healthy, .limit = 20'000};
      report.at_most(name, quantile(delays(name, traffic, runs), q), bound, "");
    }
  }
}

// To be known: what other circumstances cost. Nothing was promised.
void other_errors(Report& report, std::uint64_t runs) {
  const auto cell = [&](const std::string& name, const Traffic& traffic) {
    report.note(name, quantile(delays(name, traffic, runs), 0.5), "");
  };
  cell("share 10 %, errors 1 % to 10 % after 5,000 good ones, median",
       {.canary_errors = 0.1, .healthy = 5'000, .limit = 30'000});
  cell("share 1 %, errors 1 % to 10 % at once, median",
       {.share = 0.01, .canary_errors = 0.1, .limit = 20'000});
  cell("share 50 %, errors 1 % to 10 % at once, median",
       {.share = 0.5, .canary_errors = 0.1, .limit = 20'000});
  cell("share 10 %, errors 0.1 % to 1 % at once, median",
       {.stable_errors = 0.001, .canary_errors = 0.01, .limit = 40'000});
  cell("share 10 %, errors 1 % to 10 %, no history of stable, median",
       {.canary_errors = 0.1, .history = 0, .limit = 20'000});
  cell("share 10 %, errors 1 % to 10 %, tenfold swing in a day, median",
       {.canary_errors = 0.1, .swing = 10, .limit = 20'000});
  for (const std::uint64_t burst : {5, 20}) {
    cell(fmt::format("share 10 %, errors 1 % to 10 % in bursts of {}, median", burst),
         {.canary_errors = 0.1, .burst = burst, .limit = 40'000});
  }
}

Traffic slower(double sigma, double times, std::uint64_t limit) {
  return {.stable_errors = 0.01,
          .canary_errors = 0.01,
          .limit = limit,
          .durations = testing::Durations{.sigma = sigma, .times = times}};
}

void latency(Report& report, std::uint64_t runs) {
  const auto cell = [&](double sigma, double times) {
    return quantile(
        delays(fmt::format("slower {} {}", sigma, times), slower(sigma, times, 20'000), runs), 0.5);
  };
  report.at_most("share 10 %, twice as slow, sigma 0.7, from its first request, median",
                 cell(0.7, 2), 250, "");
  report.note("share 10 %, twice as slow, sigma 1.2, from its first request, median", cell(1.2, 2),
              "");
  report.note("share 10 %, 3 times as slow, sigma 0.7, from its first request, median",
              cell(0.7, 3), "");
}

Measured decided(const std::string& name, const Traffic& traffic, std::uint64_t runs,
                 Ending::Kind as) {
  const auto endings = each_run(name, runs, [&](sluice::Random& random) {
    const auto judge = make_sequential({});
    return testing::until_decided(traffic, *judge, random).kind;
  });
  return percent(count_if(endings, [&](auto kind) { return kind == as; }), runs);
}

void promotions(Report& report, std::uint64_t runs) {
  constexpr auto kSafe = Ending::Kind::kSafe;
  const auto failing = [](double stable, double canary) {
    Traffic out = slower(0.7, 1, 10'000);
    out.stable_errors = stable;
    out.canary_errors = canary;
    return out;
  };
  report.at_most("promoted at any look: errors 2 % instead of 1 %",
                 decided("promoted errors", failing(0.01, 0.02), runs, kSafe), 5, "%");
  report.at_most("promoted at any look: twice as slow, sigma 0.7",
                 decided("promoted slow", slower(0.7, 2, 10'000), runs, kSafe), 5, "%");
  const std::uint64_t few = std::max<std::uint64_t>(10, runs / 10);
  report.note("promoted at any look: errors 0.2 % instead of 0.1 %",
              decided("promoted few errors", failing(0.001, 0.002), few, kSafe), "%");
  report.note("healthy at errors of 1 %, promoted within 10,000 requests",
              decided("healthy", failing(0.01, 0.01), few, kSafe), "%");
  report.note("healthy at errors of 0.1 %, promoted within 10,000 requests",
              decided("healthy few errors", failing(0.001, 0.001), few, kSafe), "%");
}

}  // namespace

void detection(Report& report, std::uint64_t runs) {
  report.heading("The canary's requests until a bad one is taken back");
  errors(report, runs);
  latency(report, runs);
  other_errors(report, std::max<std::uint64_t>(10, runs / 10));
  report.heading("Bad canaries that are promoted, and good ones");
  promotions(report, runs);
}

}  // namespace bench
