#include "tools/compress/page_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace sluice::tools::compress {
namespace {

constexpr int kNames = 250;  // of the column with names
constexpr int kRoom = 150;   // right of the bars, for numbers
constexpr int kBars = kPictureWidth - kNames - kRoom;
constexpr int kLine = 22;
constexpr int kThick = 15;
constexpr std::size_t kLongestName = 34;  // code points

std::string text_at(double x, double y, std::string_view text, std::string_view more = {}) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}{}>{}</text>\n", x, y,
                     more.empty() ? "" : " ", more, escaped(text));
}

std::string bar_at(double y, double width, std::string_view kind) {
  return fmt::format(
      "<rect class=\"{}\" x=\"{}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{}\" rx=\"2\"/>\n", kind,
      kNames, y, std::max(1.0, width), kThick);
}

std::string upright(std::string_view kind, double x, double from, double to) {
  return fmt::format(
      "<line class=\"{0}\" x1=\"{1:.2f}\" x2=\"{1:.2f}\" y1=\"{2:.1f}\" y2=\"{3:.1f}\"/>\n", kind,
      x, from, to);
}

std::string picture(std::string_view title, double height, const std::string& body) {
  return fmt::format(
      "<svg viewBox=\"0 0 {} {:.0f}\" role=\"img\" aria-label=\"{}\">\n"
      "<text x=\"0\" y=\"16\" class=\"head\">{}</text>\n{}</svg>\n",
      kPictureWidth, height, escaped(title), escaped(title), body);
}

// The end of a node's name tells nodes apart, not its start: "/encoder/layer.3/attention/MatMul".
std::string shortened(std::string_view name) {
  std::vector<std::string_view> points;
  for (auto rest = name; !rest.empty();) {
    points.push_back(rest.substr(0, std::max<std::size_t>(1, utf8_length(rest))));
    rest.remove_prefix(points.back().size());
  }
  if (points.size() <= kLongestName) return std::string(name);
  const auto* const start = points[points.size() - (kLongestName - 1)].data();
  return "…" + std::string(name.substr(static_cast<std::size_t>(start - name.data())));
}

double width_of(double value, double most) {
  if (!std::isfinite(value) || !(most > 0)) return 0;
  return std::max(0.0, value) / most * kBars;
}

double greatest(std::initializer_list<double> values) {
  double out = 0;
  for (const double value : values) out = std::isfinite(value) ? std::max(out, value) : out;
  return out;
}

}  // namespace

std::string escaped(std::string_view text, std::size_t most) {
  std::string valid;
  for (auto rest = text; !rest.empty();) {
    const std::size_t length = utf8_length(rest);
    valid += length == 0 ? std::string_view("?") : rest.substr(0, length);
    rest.remove_prefix(std::max<std::size_t>(1, length));
  }
  std::string out;
  for (const char c : printable(valid, most)) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string draw_pairs(std::string_view title, const std::vector<BeforeAfter>& pairs) {
  std::string body;
  double y = 30;
  for (const auto& pair : pairs) {
    const double most = greatest({pair.before, pair.after});
    const auto add = [&](std::string_view name, double value, std::string_view text,
                         std::string_view kind) {
      const double width = width_of(value, most);
      body += text_at(kNames - 10, y + 12, name, "text-anchor=\"end\"");
      body += bar_at(y, width, kind);
      body += text_at(kNames + width + 8, y + 12, text);
      y += kLine;
    };
    add(pair.name + ", before", pair.before, pair.before_text, "before");
    add("after", pair.after, pair.after_text, "after");
    y += 8;
  }
  return picture(title, y, body);
}

std::string draw_allowed_drop(const AllowedDrop& drop) {
  const std::string title = drop.name + " before and after, and the least that is allowed";
  const bool known = std::isfinite(drop.before) && std::isfinite(drop.after);
  const double low = known ? std::min({drop.before, drop.after, drop.least}) : 0;
  const double high = known ? std::max({drop.before, drop.after, drop.least}) : 0;
  const double scale = high > low ? kBars / (high - low) : 0;
  const auto place = [&](double value) {
    return kNames + (std::isfinite(value) ? std::max(0.0, (value - low) * scale) : 0.0);
  };
  std::string body;
  double y = 36;
  const auto add = [&](std::string_view name, double value, std::string_view text,
                       std::string_view kind) {
    body += text_at(kNames - 10, y + 5, name, "text-anchor=\"end\"");
    body += fmt::format("<line class=\"line\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
                        kNames, kNames + kBars, y, y);
    body += fmt::format("<circle class=\"{}\" cx=\"{:.2f}\" cy=\"{:.1f}\" r=\"6\"/>\n", kind,
                        place(value), y);
    body += text_at(kNames + kBars + 14, y + 5, text);
    y += kLine + 4;
  };
  add("before", drop.before, drop.before_text, "before");
  add("after", drop.after, drop.after_text, "after");
  body += upright("limit", place(drop.least), 24, y - 8);
  body += text_at(kNames - 10, y + 8, "least that is allowed", "text-anchor=\"end\"");
  body += text_at(kNames + kBars + 14, y + 8, drop.least_text);
  body +=
      fmt::format("<line class=\"limit\" x1=\"{:.2f}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
                  place(drop.least), kNames + kBars, y + 4, y + 4);
  return picture(title, y + 22, body);
}

std::string draw_bars(std::string_view title, const std::vector<Bar>& bars) {
  double most = 0;
  for (const auto& bar : bars) most = greatest({most, bar.value});
  std::string body;
  double y = 30;
  for (const auto& bar : bars) {
    const double width = width_of(bar.value, most);
    body += text_at(kNames - 10, y + 12, shortened(bar.name), "text-anchor=\"end\"");
    body += bar_at(y, width, bar.other ? "other" : "after");
    body += text_at(kNames + width + 8, y + 12, bar.text, "class=\"pale\"");
    y += kLine;
  }
  return picture(title, y + 4, body);
}

}  // namespace sluice::tools::compress
