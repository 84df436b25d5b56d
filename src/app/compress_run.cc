#include "app/compress_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "app/compress_trial.h"
#include "base/text.h"
#include "tools/compress/search.h"
#include "tools/compress/version_writer.h"

namespace sluice::app {
namespace {

namespace fs = std::filesystem;
using namespace tools::compress;
using nlohmann::json;

Failure usage(std::string message) { return invalid("usage", std::move(message)); }

// Known before the search: afterwards would be late.
Result<void> check_pick(const std::string& pick) {
  constexpr std::array<std::string_view, 3> kWords = {"smallest", "fastest", "closest"};
  if (pick.empty() || std::ranges::find(kWords, pick) != kWords.end()) return {};
  auto chain = parse_chain(pick);
  if (chain) return {};
  if (chain.error().reason != "unknown_method") return Failure(chain.error());
  return usage("--pick is smallest, fastest, closest or a method as a search shows it, and not '" +
               printable(pick) + "'" + did_you_mean(pick, kWords));
}

Result<void> check(const CompressArguments& arguments) {
  if (arguments.method.empty() && !arguments.search) {
    return usage("say what is to be done with --method, or try all with --search");
  }
  if (!arguments.method.empty() && arguments.search) {
    return usage("--search tries methods by itself; leave --method out");
  }
  if (!arguments.search && arguments.output.empty()) {
    return usage("say where the new version goes with --output, such as models/fraud/v2-int8");
  }
  if (arguments.pick.empty() == (arguments.search && !arguments.output.empty())) {
    return usage(
        "--pick and --output belong together: which of those that --search found is "
        "written, and where");
  }
  SLUICE_CHECK(check_pick(arguments.pick));
  std::error_code error;
  if (!arguments.output.empty() && fs::exists(arguments.output, error) &&
      !fs::is_empty(arguments.output, error)) {
    return usage(
        "there is something in the folder of --output already; give the version another "
        "name, or remove it");
  }
  return {};
}

void end_line(const CompressArguments& arguments) {
  if (!arguments.json && ::isatty(STDERR_FILENO) != 0) std::fputs("\r\x1b[K", stderr);
}

Result<void> write(const CompressArguments& arguments, const CompressTrial& trial,
                   const CompressTrial::Candidate& candidate) {
  return write_version({arguments.output, candidate.file, trial.original().yaml}, candidate.report);
}

std::string next_step(const CompressArguments& arguments, const CompressTrial& trial) {
  const auto name = fs::path(arguments.output).lexically_normal().filename().string();
  const auto& from = trial.original();
  return fmt::format(
      "written, made of {}/{}; try it beside users with: sluice release {} shadow {}\n", from.model,
      from.version, from.model, name);
}

// ---- one method --------------------------------------------------------------------------------

Result<CompressOutcome> run_one(const CompressArguments& arguments, const std::atomic<bool>& stop) {
  SLUICE_TRY(const auto chain, parse_chain(arguments.method));
  if (needs_calibration(chain) && arguments.calibration.empty()) {
    return invalid("no_calibration",
                   show(chain) +
                       " has to see rows that the model usually gets: give them with "
                       "--calibration; a few hundred are enough");
  }
  SLUICE_TRY(auto trial, CompressTrial::open(arguments, stop));
  SLUICE_TRY(const auto candidate, trial.attempt(chain));
  end_line(arguments);
  CompressOutcome out;
  out.kept = candidate.report.kept();
  if (out.kept) SLUICE_CHECK(write(arguments, trial, candidate));
  out.text = arguments.json ? json_text(report_json(candidate.report)) + "\n"
                            : report_text(candidate.report);
  if (out.kept && !arguments.json) out.text += next_step(arguments, trial);
  return out;
}

// ---- search ------------------------------------------------------------------------------------

class Search {
 public:
  Search(const CompressArguments& arguments, CompressTrial& trial)
      : arguments_(arguments),
        trial_(trial),
        end_(std::chrono::steady_clock::now() +
             std::chrono::milliseconds(static_cast<std::int64_t>(1000 * arguments.budget))) {}

  Result<CompressOutcome> run() {
    SLUICE_CHECK(attempt_all(single_methods(trial_.original().file, trial_.calibrated())));
    SLUICE_CHECK(attempt_all(combined_methods(tried_, front())));
    end_line(arguments_);
    tried_.push_back({"", trial_.original().bytes, trial_.original_p50(), 0});
    CompressOutcome out;
    out.kept = true;
    std::optional<std::size_t> picked;
    if (!arguments_.pick.empty()) {
      SLUICE_TRY(picked, pick());
      SLUICE_CHECK(write(arguments_, trial_, candidates_[*picked]));
    }
    out.text = arguments_.json ? json_text(as_json(picked)) + "\n" : as_text(picked);
    return out;
  }

 private:
  // A method that cannot be had for this model is left out, with its reason.
  Result<void> attempt_all(const std::vector<std::string>& methods) {
    for (const auto& method : methods) {
      if (std::chrono::steady_clock::now() >= end_) {
        left_out_.emplace_back(method, "the budget was spent");
        continue;
      }
      SLUICE_TRY(const auto chain, parse_chain(method));
      auto candidate = trial_.attempt(chain);
      if (!candidate && candidate.error().code != Code::kInvalidArgument) {
        return Failure(candidate.error());
      }
      if (!candidate) {
        left_out_.emplace_back(method, candidate.error().message);
        continue;
      }
      const auto& report = candidate->report;
      // Beside the original as it was in the same moment, so that what else the machine does from
      // one to the next makes nothing faster.
      const double p50 = trial_.original_p50() * report.timing.after.p50_us /
                         std::max(report.timing.before.p50_us, 1e-9);
      tried_.push_back({report.method, report.after.file_bytes, p50, report.comparison.drop});
      candidates_.push_back(std::move(*candidate));
    }
    return {};
  }

  std::vector<std::size_t> front() const { return pareto_front(tried_); }

  // Of those that lose no more than is allowed; the original is none of them.
  Result<std::size_t> pick() const {
    std::vector<std::size_t> allowed;
    for (const auto place : front()) {
      if (place < candidates_.size() && candidates_[place].report.kept()) allowed.push_back(place);
    }
    const auto best = [&](auto what) -> std::optional<std::size_t> {
      const auto found = std::ranges::min_element(allowed, {}, what);
      return found == allowed.end() ? std::nullopt : std::optional(*found);
    };
    std::optional<std::size_t> out;
    if (arguments_.pick == "smallest") {
      out = best([&](std::size_t i) { return tried_[i].bytes; });
    } else if (arguments_.pick == "fastest") {
      out = best([&](std::size_t i) { return tried_[i].p50_us; });
    } else if (arguments_.pick == "closest") {
      out = best([&](std::size_t i) { return tried_[i].drop; });
    } else {
      const auto found = std::ranges::find(tried_, arguments_.pick, &Tried::method);
      const auto place = static_cast<std::size_t>(found - tried_.begin());
      if (place < candidates_.size() && candidates_[place].report.kept()) out = place;
    }
    if (out) return *out;
    return invalid("nothing_to_pick",
                   "nothing that was tried is '" + printable(arguments_.pick) +
                       "' and loses no more than is allowed; nothing was written");
  }

  json as_json(std::optional<std::size_t> picked) const {
    json front_json = json::array();
    for (const auto place : front()) {
      const auto& one = tried_[place];
      front_json.push_back({{"method", one.method.empty() ? "original" : one.method},
                            {"file_bytes", one.bytes},
                            {"p50_us", one.p50_us},
                            {"drop", one.drop}});
    }
    json reports = json::array();
    for (const auto& candidate : candidates_) reports.push_back(report_json(candidate.report));
    json left_out = json::array();
    for (const auto& [method, why] : left_out_) {
      left_out.push_back({{"method", method}, {"reason", why}});
    }
    return {{"pareto_front", std::move(front_json)},
            {"tried", std::move(reports)},
            {"left_out", std::move(left_out)},
            {"picked", picked ? json(tried_[*picked].method) : json(nullptr)}};
  }

  std::string as_text(std::optional<std::size_t> picked) const {
    const auto best = front();
    std::string out = fmt::format("{:>12} {:>11} {:>9}\n", "bytes", "p50 µs", "drop");
    const auto add = [&](std::size_t place) {
      const auto& one = tried_[place];
      out += fmt::format("{:>12} {:>10.1f} {:>9.4f}  {}{}\n", one.bytes, one.p50_us, one.drop,
                         one.method.empty() ? "the original" : one.method,
                         picked == place                  ? "   (written)"
                         : one.drop > arguments_.max_drop ? "   (loses too much)"
                                                          : "");
    };
    for (const auto place : best) add(place);
    if (best.size() < tried_.size()) out += "behind one of these in everything:\n";
    for (std::size_t place = 0; place < tried_.size(); ++place) {
      if (std::ranges::find(best, place) == best.end()) add(place);
    }
    for (const auto& [method, why] : left_out_) out += "left out: " + method + ": " + why + "\n";
    return picked ? out + next_step(arguments_, trial_) : out;
  }

  const CompressArguments& arguments_;
  CompressTrial& trial_;
  const std::chrono::steady_clock::time_point end_;
  std::vector<Tried> tried_;  // first as many as there are candidates
  std::vector<CompressTrial::Candidate> candidates_;
  std::vector<std::pair<std::string, std::string>> left_out_;
};

}  // namespace

Result<CompressOutcome> run_compress(const CompressArguments& arguments,
                                     const std::atomic<bool>& stop) {
  SLUICE_CHECK(check(arguments));
  if (!arguments.search) return run_one(arguments, stop);
  SLUICE_TRY(auto trial, CompressTrial::open(arguments, stop));
  return Search(arguments, trial).run();
}

}  // namespace sluice::app
