#include "app/explain_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/text.h"

namespace sluice::app {
namespace {

// In pixels.
constexpr int kWidth = 860;
constexpr int kNames = 330;  // of the column with names and values
constexpr int kRoom = 90;    // right of the bars, for numbers
constexpr int kLine = 24;
constexpr std::size_t kMostBars = 20;
constexpr std::size_t kMostSteps = 14;

constexpr std::string_view kStyle = R"(
:root{--ink:#1d2733;--pale:#5d6b7a;--line:#d6dde4;--up:#c2410c;--down:#1d6fb8;--mean:#4b5b6b;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf0;--pale:#9aa7b4;--line:#3a4653;--up:#fb8c4e;--down:#5bb0f5;--mean:#93a3b3;--paper:#14191f}}
text{font:13px system-ui,sans-serif;fill:var(--ink)}.pale{fill:var(--pale)}.head{font-weight:600;font-size:15px}
.up{fill:var(--up)}.down{fill:var(--down)}.mean{fill:var(--mean)}.line{stroke:var(--line);stroke-width:1}
.paper{fill:var(--paper)})";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text, 400)) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string text_at(double x, double y, std::string_view text, std::string_view more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, more, escaped(text));
}

std::string bar_at(double from, double to, double y, std::string_view kind) {
  return fmt::format(
      "<rect class=\"{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"16\" rx=\"2\"/>\n",
      kind, std::min(from, to), y, std::max(1.0, std::abs(to - from)));
}

std::string shortened(std::string text, std::size_t most) {
  return text.size() <= most ? text : text.substr(0, most - 3) + "...";
}

// A picture that others can be put below.
struct Panel {
  std::string body;
  int height = 0;
};

Panel bars(const std::vector<Explained>& rows) {
  auto means = mean_sizes(rows);
  const std::size_t left_out = means.size() - std::min(means.size(), kMostBars);
  means.resize(std::min(means.size(), kMostBars));
  Panel out;
  out.body = text_at(8, 20,
                     rows.size() == 1
                         ? "Size of the attributions"
                         : fmt::format("Mean size of the attributions of {} rows", rows.size()),
                     "class=\"head\"");
  const double most = means.empty() ? 0 : means[0].attribution;
  const double scale = most > 0 ? (kWidth - kNames - kRoom) / most : 0;
  double y = 34;
  for (const auto& feature : means) {
    out.body += text_at(kNames - 10, y + 13, shortened(feature.name, 40), "text-anchor=\"end\"");
    const double end = kNames + feature.attribution * scale;
    out.body += bar_at(kNames, end, y, "mean");
    out.body +=
        text_at(end + 6, y + 13, fmt::format("{:.4g}", feature.attribution), "class=\"pale\"");
    y += kLine;
  }
  if (left_out > 0) {
    out.body += text_at(8, y + 13, fmt::format("and {} smaller ones", left_out), "class=\"pale\"");
    y += kLine;
  }
  out.height = static_cast<int>(y) + 12;
  return out;
}

struct StepBar {
  std::string name;
  double attribution;
};

// The greatest ones, and the rest as one.
std::vector<StepBar> steps_of(const Explained& row) {
  std::vector<StepBar> out;
  double rest = 0;
  std::size_t others = 0;
  for (const auto i : row.by_size()) {
    const auto& feature = row.features[i];
    if (out.size() < kMostSteps || row.features.size() == kMostSteps + 1) {
      out.push_back({shortened(feature.name, 28) + " = " + shortened(feature.value, 12),
                     feature.attribution});
    } else {
      rest += feature.attribution;
      ++others;
    }
  }
  if (others > 0) out.push_back({fmt::format("{} others", others), rest});
  return out;
}

Panel waterfall(const Explained& row) {
  const auto steps = steps_of(row);
  double low = row.base_value;
  double high = row.base_value;
  double at = row.base_value;
  for (const auto& step : steps) {
    at += step.attribution;
    low = std::min(low, at);
    high = std::max(high, at);
  }
  const double scale = high > low ? (kWidth - kNames - kRoom) / (high - low) : 0;
  const auto place = [&](double value) { return kNames + (value - low) * scale; };
  Panel out;
  out.body = text_at(8, 20, row.title, "class=\"head\"");
  out.body += text_at(8, 40,
                      fmt::format("{}: from the base value {:.5g} to {:.5g}", row.output,
                                  row.base_value, row.answer()),
                      "class=\"pale\"");
  double y = 52;
  at = row.base_value;
  for (const auto& step : steps) {
    const double next = at + step.attribution;
    out.body += text_at(kNames - 10, y + 13, step.name, "text-anchor=\"end\"");
    out.body += bar_at(place(at), place(next), y, step.attribution >= 0 ? "up" : "down");
    out.body += text_at(std::max(place(at), place(next)) + 6, y + 13,
                        fmt::format("{:+.4g}", step.attribution), "class=\"pale\"");
    out.body += fmt::format(
        "<line class=\"line\" x1=\"{0:.2f}\" x2=\"{0:.2f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>\n",
        place(next), y + 16, y + kLine);
    at = next;
    y += kLine;
  }
  out.height = static_cast<int>(y) + 12;
  return out;
}

std::vector<Panel> panels(const std::vector<Explained>& rows) {
  std::vector<Panel> out = {bars(rows)};
  for (const auto& row : rows) out.push_back(waterfall(row));
  return out;
}

}  // namespace

double Explained::answer() const {
  double out = base_value;
  for (const auto& feature : features) out += feature.attribution;
  return out;
}

std::vector<std::size_t> Explained::by_size() const {
  std::vector<std::size_t> out(features.size());
  std::iota(out.begin(), out.end(), std::size_t{0});
  std::ranges::stable_sort(out, std::greater<>(),
                           [&](std::size_t i) { return std::abs(features[i].attribution); });
  return out;
}

std::vector<Explained::Feature> mean_sizes(const std::vector<Explained>& rows) {
  std::vector<Explained::Feature> out;
  if (rows.empty()) return out;
  for (std::size_t i = 0; i < rows[0].features.size(); ++i) {
    double sum = 0;
    for (const auto& row : rows) {
      if (i < row.features.size()) sum += std::abs(row.features[i].attribution);
    }
    out.push_back({rows[0].features[i].name, "", sum / static_cast<double>(rows.size())});
  }
  std::ranges::stable_sort(out, std::greater<>(), &Explained::Feature::attribution);
  return out;
}

std::string explain_html(std::string_view heading, const std::vector<Explained>& rows) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>{0}</"
      "title>\n<style>{1}\nbody{{background:var(--paper);"
      "color:var(--ink);font:15px system-ui,sans-serif;margin:2em auto;max-width:{2}px;"
      "padding:0 1em}}svg{{display:block;width:100%;height:auto;margin:1.5em 0}}</style></head>\n"
      "<body><h1>{0}</h1>\n",
      escaped(heading), kStyle, kWidth);
  for (const auto& panel : panels(rows)) {
    out += fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\n{}</svg>\n",
        kWidth, panel.height, panel.body);
  }
  return out + "</body></html>\n";
}

std::string explain_svg(std::string_view heading, const std::vector<Explained>& rows) {
  std::string body = text_at(8, 24, heading, "class=\"head\"");
  int y = 40;
  for (const auto& panel : panels(rows)) {
    body += fmt::format("<g transform=\"translate(0,{})\">\n{}</g>\n", y, panel.body);
    y += panel.height + 12;
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\">\n<style>{2}</style>\n<rect class=\"paper\" width=\"{0}\" height=\"{1}\"/>\n"
      "{3}</svg>\n",
      kWidth, y, kStyle, body);
}

}  // namespace sluice::app
