#include "tools/compress/report.h"

#include <fmt/format.h>

#include <cmath>

#include "tools/compress/figures.h"

namespace sluice::tools::compress {
namespace {

using nlohmann::json;

double ratio(double a, double b) { return b == 0 ? 1 : a / b; }

json finite(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json timing_json(const Timing& timing) {
  return {{"p50_us", timing.p50_us},
          {"p95_us", timing.p95_us},
          {"rows_per_second", timing.rows_per_second},
          {"batch", timing.batch},
          {"batch_p50_us", timing.batch_p50_us},
          {"batch_p95_us", timing.batch_p95_us}};
}

json weighed_json(const Weighed& weighed) {
  json out = {{"file_bytes", weighed.file_bytes}, {"memory_bytes", weighed.memory_bytes}};
  out["monthly_cost"] = weighed.monthly_cost ? json(*weighed.monthly_cost) : json(nullptr);
  return out;
}

void add_score(const Comparison& comparison, const std::optional<Score>& score, json& out) {
  if (!score) return;
  out[comparison.classified ? "accuracy" : "r2"] = score->quality;
  if (score->mean_error) out["mean_absolute_error"] = *score->mean_error;
}

json comparison_json(const Comparison& comparison) {
  json worst = json::array();
  for (const auto& row : comparison.worst) {
    worst.push_back({{"row", row.row},
                     {"difference", finite(row.difference)},
                     {"before", row.before},
                     {"after", row.after}});
  }
  json out = {{"rows", comparison.rows},
              {"labelled", comparison.labelled},
              {"agreement", comparison.agreement},
              {"mean_absolute_difference", comparison.mean_difference},
              {"max_absolute_difference", finite(comparison.greatest_difference)},
              {"unanswered", comparison.lost},
              {"measure", comparison.quality},
              {"drop", comparison.drop},
              {"worst_rows", std::move(worst)}};
  if (comparison.before) {
    const char* name = comparison.classified ? "accuracy" : "r2";
    out[std::string(name) + "_drop"] = comparison.drop;
  }
  return out;
}

// Three columns: what, before, after.
void line(std::string& out, std::string_view what, const std::string& before,
          const std::string& after, const std::string& more = {}) {
  const auto pad = [](std::string_view text, std::size_t width, bool left) {
    const std::size_t length = shown_width(text);
    const std::string blanks(width > length ? width - length : 0, ' ');
    return left ? std::string(text) + blanks : blanks + std::string(text);
  };
  out += pad(what, 26, true) + pad(before, 14, false) + pad(after, 14, false);
  if (!more.empty()) out += "   " + more;
  out += '\n';
}

void add_quality(const Comparison& comparison, std::string& out) {
  if (comparison.before) {
    const auto show = [&](const Score& score) {
      return comparison.classified ? percent(score.quality) : fmt::format("{:.4f}", score.quality);
    };
    line(out, comparison.quality, show(*comparison.before), show(*comparison.after));
    if (comparison.before->mean_error) {
      line(out, "mean absolute error", fmt::format("{:.4g}", *comparison.before->mean_error),
           fmt::format("{:.4g}", *comparison.after->mean_error));
    }
  }
  line(out, "agreement", "", percent(comparison.agreement));
  line(out, "difference, mean", "", fmt::format("{:.3g}", comparison.mean_difference));
  line(out, "difference, greatest", "", fmt::format("{:.3g}", comparison.greatest_difference));
}

}  // namespace

std::string verdict(const Report& report) {
  const auto& comparison = report.comparison;
  if (comparison.lost > 0) {
    return fmt::format("{} of {} rows have no answer any more: it is not written", comparison.lost,
                       comparison.rows);
  }
  const std::string what = fmt::format("{} drops by {:.4f}, {:.4f} is allowed", comparison.quality,
                                       comparison.drop, report.max_drop);
  return report.kept() ? what : what + ": it is not written";
}

json report_json(const Report& report) {
  json before = weighed_json(report.before);
  json after = weighed_json(report.after);
  before.update(timing_json(report.timing.before));
  after.update(timing_json(report.timing.after));
  add_score(report.comparison, report.comparison.before, before);
  add_score(report.comparison, report.comparison.after, after);
  json out = {{"model", report.model},
              {"sha256", report.sha256},
              {"method", report.method},
              {"created", report.created},
              {"kept", report.kept()},
              {"max_accuracy_drop", report.max_drop},
              {"evaluated_on", report.synthesised ? "synthesised rows" : report.rows_from},
              {"before", std::move(before)},
              {"after", std::move(after)},
              {"comparison", comparison_json(report.comparison)},
              {"size_ratio", ratio(static_cast<double>(report.after.file_bytes),
                                   static_cast<double>(report.before.file_bytes))},
              {"latency_ratio", report.timing.faster},
              {"throughput_ratio", report.timing.throughput},
              {"seconds", report.seconds},
              {"notes", report.notes}};
  out.update(report.details);
  return out;
}

std::string json_text(const json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string report_text(const Report& report) {
  std::string out;
  line(out, report.method, "before", "after");
  const auto& before = report.before;
  const auto& after = report.after;
  const auto size = [](std::uint64_t bytes) { return bytes_text(static_cast<double>(bytes)); };
  line(out, "file", size(before.file_bytes), size(after.file_bytes),
       percent(
           ratio(static_cast<double>(after.file_bytes), static_cast<double>(before.file_bytes))));
  line(out, "memory", size(before.memory_bytes), size(after.memory_bytes));
  const auto& timing = report.timing;
  line(out, "latency p50", fmt::format("{:.1f} µs", timing.before.p50_us),
       fmt::format("{:.1f} µs", timing.after.p50_us), times(timing.faster) + " as fast");
  line(out, "latency p95", fmt::format("{:.1f} µs", timing.before.p95_us),
       fmt::format("{:.1f} µs", timing.after.p95_us));
  line(out, fmt::format("rows/s, {} at a time", timing.before.batch),
       fmt::format("{:.0f}", timing.before.rows_per_second),
       fmt::format("{:.0f}", timing.after.rows_per_second), times(timing.throughput));
  add_quality(report.comparison, out);
  if (before.monthly_cost && after.monthly_cost) {
    line(out, "cost of storage a month", fmt::format("{:.4f}", *before.monthly_cost),
         fmt::format("{:.4f}", *after.monthly_cost));
  }
  out += fmt::format("{} rows of {}\n", report.comparison.rows,
                     report.synthesised ? "made-up values" : report.rows_from);
  for (const auto& note : report.notes) out += "note: " + note + "\n";
  return out + verdict(report) + "\n";
}

}  // namespace sluice::tools::compress
