// Whether it is noticed that some of one arm's users get lost.
#include "groups.h"
#include "runs.h"
#include "statistics/sample_ratio.h"

namespace bench {
namespace {

using sluice::Random;
using sluice::statistics::SampleRatio;

constexpr std::uint64_t kUsers = 200'000;
constexpr double kShares[] = {0.5, 0.5};

// Users until the alarm, or one more than `most`. `lost`: of the second arm's.
std::uint64_t until_alarm(double lost, std::uint64_t most, Random& random) {
  SampleRatio ratio(2);
  for (std::uint64_t users = 1; users <= most; ++users) {
    const bool second = random.uniform() < 0.5;
    if (second && lost > 0 && random.uniform() < lost) continue;
    ratio.add(second ? 1 : 0, kShares);
    if (ratio.alarm()) return users;
  }
  return most + 1;
}

}  // namespace

void sample_ratios(Report& report, std::uint64_t runs) {
  report.heading("Users that get lost, of two halves");
  const std::uint64_t few = std::max<std::uint64_t>(10, runs / 10);
  std::vector<double> found;
  for (const auto users : each_run(
           "lost", few, [](Random& random) { return until_alarm(0.02, 5 * kUsers, random); })) {
    found.push_back(static_cast<double>(users));
  }
  report.at_most("2 % of the second half's lost: users until the alarm, median",
                 quantile(found, 0.5), static_cast<double>(kUsers), "");
  const auto alarms =
      each_run("none lost", runs, [](Random& random) { return until_alarm(0, kUsers, random); });
  report.at_most("none lost: alarms within 200,000 users",
                 percent(count_if(alarms, [](auto users) { return users <= kUsers; }), runs), 0.1,
                 "%");
}

}  // namespace bench
