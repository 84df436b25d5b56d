// A release as text. Everything here may be missing or of another type: an answer is looked at and
// never trusted.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/release.h"
#include "base/text.h"

namespace sluice::app {
namespace {

constexpr std::size_t kLongReason = 400;
constexpr std::size_t kDecisions = 5;
constexpr int kBar = 20;
constexpr int kDeepest = 8;

const ReleaseJson& part(const ReleaseJson& from, std::string_view key) {
  static const ReleaseJson kNothing;
  if (!from.is_object()) return kNothing;
  const auto found = from.find(std::string(key));
  return found == from.end() ? kNothing : *found;
}

std::string text(const ReleaseJson& from, std::string_view key, std::size_t limit = 64) {
  const auto& value = part(from, key);
  return value.is_string() ? printable(value.get<std::string>(), limit) : std::string();
}

std::optional<double> number(const ReleaseJson& from, std::string_view key) {
  const auto& value = part(from, key);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

// As `format` has it, or "-".
template <class Format>
std::string shown(const ReleaseJson& from, std::string_view key, Format format, double times = 1) {
  const auto value = number(from, key);
  return value ? fmt::format(fmt::runtime(format), *value * times) : "-";
}

std::string one_line(const ReleaseJson& value) {
  if (value.is_string()) return printable(value.get<std::string>(), kLongReason);
  if (value.is_structured()) return value.empty() ? "none" : "...";
  return value.dump();
}

std::string head(const ReleaseJson& release) {
  const auto model = text(release, "model");
  const auto policy = text(release, "policy");
  if (policy == "none") return (model.empty() ? "The model" : model) + " has no release\n";
  std::string out = fmt::format("{}  {}, {}", model, policy, text(release, "state"));
  out += "  revision " + shown(release, "revision", "{:.0f}");
  if (const auto source = text(release, "source"); !source.empty()) out += " (" + source + ")";
  return out + "\n";
}

// Those with a share, then those that have none any more.
std::vector<std::string> arms_of(const ReleaseJson& release) {
  std::vector<std::string> out;
  for (const char* key : {"weights", "arms"}) {
    const auto& from = part(release, key);
    if (!from.is_object()) continue;
    for (const auto& [name, unused] : from.items()) {
      if (std::ranges::find(out, name) == out.end()) out.push_back(name);
    }
  }
  return out;
}

std::string arm_table(const ReleaseJson& release) {
  const auto names = arms_of(release);
  if (names.empty()) return "";
  auto out = fmt::format("\n{:<16} {:>8} {:>12} {:>10} {:>9} {:>10} {:>10}\n", "VERSION", "SHARE",
                         "REQUESTS", "ERRORS", "RATE", "P50 MS", "P95 MS");
  for (const auto& name : names) {
    const auto& arm = part(part(release, "arms"), name);
    out += fmt::format("{:<16} {:>8} {:>12} {:>10} {:>9} {:>10} {:>10}\n", printable(name),
                       shown(part(release, "weights"), name, "{:.2f}%", 100),
                       shown(arm, "requests", "{:.0f}"), shown(arm, "errors", "{:.0f}"),
                       shown(arm, "error_rate", "{:.3f}%", 100), shown(arm, "p50", "{:.2f}"),
                       shown(arm, "p95", "{:.2f}"));
  }
  return out;
}

std::string shadows(const ReleaseJson& release) {
  const auto& list = part(release, "shadow");
  if (!list.is_array() || list.empty()) return "";
  std::string out = "\nshadow";
  for (const auto& each : list) out += "  " + one_line(each);
  return out + "\n";
}

// Evidence multiplies as it comes in: from 1, which says nothing, to the limit. Steps of the same
// size on the bar are the same factor.
std::string bar(double e, double limit) {
  double part = e >= limit ? 1 : 0;
  if (e > 1 && e < limit && limit > 1) part = std::log(e) / std::log(limit);
  const int full = std::clamp(static_cast<int>(part * kBar), 0, kBar);
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(kBar - full), '.') + "]";
}

std::string evidence(const ReleaseJson& summary) {
  std::string out;
  const auto& metrics = part(summary, "metrics");
  if (!metrics.is_array()) return out;
  for (const auto& metric : metrics) {
    const auto e = number(metric, "e");
    const auto limit = number(metric, "limit");
    if (!e || !limit) continue;  // the seed's rule weighs no evidence
    out += fmt::format("{:<16} {} {:.3g} of {:.6g}\n", text(metric, "metric"), bar(*e, *limit), *e,
                       *limit);
  }
  return out.empty() ? out : "\nEVIDENCE OF HARM\n" + out;
}

std::string verdict(const ReleaseJson& summary) {
  const auto word = text(summary, "verdict");
  if (word.empty()) return "";
  const auto why = text(summary, "verdict_reason", kLongReason);
  return "\nverdict  " + word + (why.empty() ? "" : ": " + why) + "\n";
}

std::string interval(const ReleaseJson& arm) {
  const auto& ends = part(arm, "interval");
  if (!ends.is_array() || ends.size() != 2 || !ends[0].is_number() || !ends[1].is_number()) {
    return "-";
  }
  return fmt::format("{:.3g} to {:.3g}", ends[0].get<double>(), ends[1].get<double>());
}

std::string rewards(const ReleaseJson& summary) {
  const auto& bandit = part(summary, "bandit");
  if (!bandit.is_object() || bandit.empty()) return "";
  auto out = "\n" + text(summary, "algorithm");
  if (const auto best = text(summary, "best"); !best.empty()) out += ", best so far " + best;
  out += fmt::format("\n{:<16} {:>10} {:>10} {:>9} {:>20} {:>10}\n", "VERSION", "REWARDS",
                     "AVERAGE", "CHOSEN", "95% INTERVAL", "PENDING");
  for (const auto& [name, arm] : bandit.items()) {
    out += fmt::format("{:<16} {:>10} {:>10} {:>9} {:>20} {:>10}\n", printable(name),
                       shown(arm, "count", "{:.0f}"), shown(arm, "avg_reward", "{:.4g}"),
                       shown(arm, "selection_rate", "{:.2f}%", 100), interval(arm),
                       shown(arm, "pending", "{:.0f}"));
  }
  return out;
}

std::string sample_ratio(const ReleaseJson& release) {
  const auto& ratio = part(release, "sample_ratio");
  if (part(ratio, "alarm") != ReleaseJson(true)) return "";
  return "\nWARNING  the versions do not get the users that they should (evidence " +
         shown(ratio, "e", "{:.3g}") + "): some get lost, and the versions cannot be compared\n";
}

std::string fleet(const ReleaseJson& release) {
  const auto& fleet = part(release, "fleet");
  if (part(fleet, "connected") == ReleaseJson(false)) {
    return "\nWARNING  the replicas' shared state cannot be reached: this is what one replica "
           "knows, and nothing is decided until it is back\n";
  }
  if (part(fleet, "waits") != ReleaseJson(true)) return "";
  return "\nWAITS    a replica is not heard of, or does not follow the last change yet: a canary "
         "takes no step until it does, or has been silent for 30 seconds\n";
}

std::string decisions(const ReleaseJson& release) {
  const auto& history = part(release, "history");
  if (!history.is_array() || history.empty()) return "";
  std::string out = "\nDECISIONS\n";
  for (auto i = history.size() - std::min(kDecisions, history.size()); i < history.size(); ++i) {
    const auto& each = history[i];
    out += fmt::format("{:<24}  {:<12} {:<8} {}\n", text(each, "time"), text(each, "decision"),
                       text(each, "by"), text(each, "reason", kLongReason));
  }
  return out;
}

// A row of numbers, as inputs are, is read across.
bool plain_row(const ReleaseJson& value) {
  return value.is_array() &&
         std::ranges::none_of(value, [](const ReleaseJson& each) { return each.is_structured(); });
}

std::string row(const ReleaseJson& value) {
  std::string out;
  for (const auto& each : value) out += (out.empty() ? "" : ", ") + one_line(each);
  return out;
}

void add_outline(const ReleaseJson& value, int depth, std::string& out) {
  const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
  const bool list = value.is_array();
  for (const auto& [key, item] : value.items()) {
    const std::string name = list ? "-" : printable(key);
    const bool across = plain_row(item) && !item.empty();
    const bool deeper = !across && item.is_structured() && !item.empty() && depth < kDeepest;
    out += indent + name;
    if (!deeper) out += "  " + (across ? row(item) : one_line(item));
    out += "\n";
    if (deeper) add_outline(item, depth + 1, out);
  }
}

}  // namespace

std::string release_view(const ReleaseJson& release) {
  const auto& summary = part(release, "summary");
  return head(release) + arm_table(release) + shadows(release) + rewards(summary) +
         evidence(summary) + verdict(summary) + sample_ratio(release) + fleet(release) +
         decisions(release);
}

std::string outline(const ReleaseJson& value) {
  if (!value.is_structured()) return one_line(value) + "\n";
  std::string out;
  add_outline(value, 0, out);
  return out;
}

}  // namespace sluice::app
