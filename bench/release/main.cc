// `./dev bench release`: the judge of canaries, the bandits and the sample ratio, simulated with
// fixed seeds. It is the very code that the server runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "groups.h"

namespace {

struct Group {
  const char* name;
  void (*run)(bench::Report&, std::uint64_t);
};
constexpr Group kGroups[] = {{"false", bench::false_rollbacks},
                             {"detection", bench::detection},
                             {"regret", bench::regrets},
                             {"learning", bench::learning},
                             {"ratio", bench::sample_ratios}};

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t runs = 10'000;
  std::string file;
  std::vector<std::string> only;
  CLI::App app("Simulates the statistics of releases");
  app.add_option("--runs", runs, "of each cell")->check(CLI::Range(10, 1'000'000));
  app.add_option("--json", file, "where the lines go as JSON");
  app.add_option("--only", only, "false, detection, regret, learning, ratio")->delimiter(',');
  CLI11_PARSE(app, argc, argv);

  bench::Report report;
  for (const auto& [name, run] : kGroups) {
    if (only.empty() || std::ranges::find(only, name) != only.end()) run(report, runs);
  }
  return file.empty() || report.write(file) ? 0 : 1;
}
