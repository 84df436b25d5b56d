#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "base/text.h"
#include "tools/compress/figures.h"
#include "tools/compress/page_drawing.h"
#include "tools/compress/report.h"

namespace sluice::tools::compress {
namespace {

using nlohmann::json;
using Show = std::function<std::string(double)>;

constexpr std::size_t kMostLayers = 40;

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1d2733;--pale:#5d6b7a;--line:#d6dde4;--before:#7c8a99;--after:#1d6fb8;--other:#c2410c;--limit:#c2410c;--good:#18794e;--bad:#b42318;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf0;--pale:#9aa7b4;--line:#3a4653;--before:#8b99a8;--after:#5bb0f5;--other:#fb8c4e;--limit:#fb8c4e;--good:#5fd39b;--bad:#ff8a7a;--paper:#14191f}}
@media print{:root{--ink:#000;--pale:#444;--line:#bbb;--before:#888;--after:#1d6fb8;--other:#c2410c;--limit:#c2410c;--good:#18794e;--bad:#b42318;--paper:#fff}svg,table,.verdict{break-inside:avoid}*{print-color-adjust:exact}}
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:860px;padding:0 1em;overflow-wrap:anywhere}
h1{font-size:1.6em;margin-bottom:0}h2{font-size:1.15em;margin-top:2em}.pale{color:var(--pale);fill:var(--pale)}
.verdict{border-left:5px solid;padding:.4em 1em;margin:1.5em 0}.verdict strong{display:block}.good{border-color:var(--good)}.good strong{color:var(--good)}.bad{border-color:var(--bad)}.bad strong{color:var(--bad)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:.25em .6em;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}
svg{display:block;width:100%;height:auto;margin:1.5em 0}text{font:13px system-ui,sans-serif;fill:var(--ink)}text.pale{fill:var(--pale)}.head{font-weight:600;font-size:15px}
.before{fill:var(--before)}.after{fill:var(--after)}.other{fill:var(--other)}.line{stroke:var(--line);stroke-width:1}.limit{stroke:var(--limit);stroke-width:1.5;stroke-dasharray:5 3})";

// ---- what the report says as JSON: the page shows those numbers and no others -------------------

const json& at(const json& all, const std::string& pointer) {
  static const json kNothing;
  const json::json_pointer place(pointer);
  return all.contains(place) ? all[place] : kNothing;
}

double number(const json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string text(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string shown(const json& all, const std::string& pointer, const Show& show) {
  const double value = number(at(all, pointer));
  return std::isfinite(value) ? show(value) : "—";
}

// A number for people, with the exact one beside it for programs.
std::string datum(const json& all, const std::string& pointer, const Show& show) {
  const json& value = at(all, pointer);
  if (!std::isfinite(number(value))) return "—";
  return fmt::format("<data data-key=\"{}\" value=\"{}\">{}</data>", pointer, value.dump(),
                     escaped(show(value.get<double>())));
}

std::string plain(double value) { return fmt::format("{:.4g}", value); }
std::string counted(double value) { return fmt::format("{:.0f}", value); }
std::string fixed(double value) { return fmt::format("{:.4f}", value); }
std::string per_second(double value) { return fmt::format("{:.0f} rows/s", value); }

// ---- the parts, from the top -------------------------------------------------------------------

std::string heading(const Report& report) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
      "content=\"width=device-width\"/><title>{0}: {1}</title>\n<style>{2}</style></head>\n"
      "<body><h1>{0}</h1>\n<p class=\"pale\">{1}</p>\n",
      escaped(report.model), escaped(report.method), kStyle);
}

std::string faster(double ratio, std::string_view what) {
  if (!std::isfinite(ratio)) return fmt::format("{} was not measured", what);
  if (std::abs(ratio - 1) < 0.03) return fmt::format("{} takes as long as before", what);
  return fmt::format("{} is answered {} as fast", what, times(ratio));
}

std::string_view judgement(const Report& report) {
  if (!report.kept()) return "Not good enough.";
  if (report.synthesised) return "Still right, as far as rows that were made up can tell.";
  return "Still right: it can take the original's place.";
}

std::string conclusion(const Report& report, const json& all) {
  const std::string size = shown(all, "/size_ratio", percent) + " of the original's bytes; " +
                           faster(number(at(all, "/latency_ratio")), "one row alone") + ", and " +
                           faster(number(at(all, "/throughput_ratio")), "a batch") + ".";
  return fmt::format(
      "<div class=\"verdict {}\"><strong>{}</strong>In short: {}. The file has {}</div>\n",
      report.kept() ? "good" : "bad", judgement(report), escaped(verdict(report)), escaped(size));
}

struct Row {
  std::string name;
  std::string key;  // below /before and /after
  Show show;
};

std::vector<Row> rows_of(const Report& report) {
  std::vector<Row> out = {{"file", "file_bytes", bytes_text},
                          {"memory", "memory_bytes", bytes_text},
                          {"latency p50, one row", "p50_us", microseconds_text},
                          {"latency p95, one row", "p95_us", microseconds_text},
                          {fmt::format("throughput, {} at a time", report.timing.before.batch),
                           "rows_per_second", per_second}};
  if (report.comparison.before) {
    const bool classified = report.comparison.classified;
    out.push_back({std::string(report.comparison.quality), classified ? "accuracy" : "r2",
                   classified ? Show(percent) : Show(fixed)});
    out.push_back({"mean absolute error", "mean_absolute_error", plain});
  }
  out.push_back({"cost of storage a month", "monthly_cost", fixed});
  return out;
}

std::string figures(const Report& report, const json& all) {
  std::string out =
      "<h2>In numbers</h2>\n<table><thead><tr><th></th><th>before</th><th>after</th><th>after / "
      "before</th></tr></thead><tbody>\n";
  for (const auto& row : rows_of(report)) {
    const std::string before = "/before/" + row.key;
    const std::string after = "/after/" + row.key;
    if (at(all, before).is_null() && at(all, after).is_null()) continue;
    const double share = number(at(all, after)) / number(at(all, before));
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", escaped(row.name),
                       datum(all, before, row.show), datum(all, after, row.show),
                       std::isfinite(share) ? percent(share) : "—");
  }
  return out + "</tbody></table>\n";
}

std::string pair_picture(const json& all, std::string_view title, const std::vector<Row>& rows) {
  std::vector<BeforeAfter> pairs;
  for (const auto& row : rows) {
    const std::string before = "/before/" + row.key;
    const std::string after = "/after/" + row.key;
    pairs.push_back({row.name, number(at(all, before)), number(at(all, after)),
                     shown(all, before, row.show), shown(all, after, row.show)});
  }
  return draw_pairs(title, pairs);
}

// Without labels the original is what is right.
std::string quality_picture(const Report& report) {
  const auto& comparison = report.comparison;
  const double before = comparison.before ? comparison.before->quality : 1;
  const double after = comparison.after ? comparison.after->quality : 1 - comparison.drop;
  const double least = before - report.max_drop;
  const Show show = comparison.classified ? Show(percent) : Show(fixed);
  return draw_allowed_drop({std::string(comparison.quality), before, after, least, show(before),
                            show(after), show(least)});
}

std::string pictures(const Report& report, const json& all) {
  const auto rows = rows_of(report);
  const auto some = [&](std::size_t from, std::size_t to) {
    return std::vector<Row>(rows.begin() + static_cast<std::ptrdiff_t>(from),
                            rows.begin() + static_cast<std::ptrdiff_t>(to));
  };
  return pair_picture(all, "Size", some(0, 2)) + pair_picture(all, "Latency", some(2, 4)) +
         pair_picture(all, "Throughput", some(4, 5)) + quality_picture(report);
}

std::string likeness(const json& all) {
  const std::string under = "/comparison/";
  return fmt::format(
      "<h2>Beside the original's answers</h2>\n<p>{} of {} rows get the same answer. The outputs "
      "differ by {} in the mean and by {} at most; {} rows have no answer any more. What is "
      "measured, {}, drops by {}; {} is allowed.</p>\n",
      datum(all, under + "agreement", percent), datum(all, under + "rows", counted),
      datum(all, under + "mean_absolute_difference", plain),
      datum(all, under + "max_absolute_difference", plain),
      datum(all, under + "unanswered", counted), escaped(text(at(all, "/comparison"), "measure")),
      datum(all, under + "drop", fixed), datum(all, "/max_accuracy_drop", fixed));
}

std::string worst_rows(const json& all) {
  const json& rows = at(all, "/comparison/worst_rows");
  if (!rows.is_array() || rows.empty()) return {};
  std::string out =
      "<h2>The rows that changed most</h2>\n<table><thead><tr><th>row</th><th>difference</th>"
      "<th>before</th><th>after</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string under = fmt::format("/comparison/worst_rows/{}/", i);
    const bool endless = at(all, under + "difference").is_null();
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                       datum(all, under + "row", counted),
                       endless ? "no number any more" : datum(all, under + "difference", plain),
                       escaped(text(rows[i], "before")), escaped(text(rows[i], "after")));
  }
  return out + "</tbody></table>\n";
}

// What methods say of layers, by the key that they say it with.
struct LayerMeasure {
  const char* key;
  const char* title;
  Show show;
};

const std::array<LayerMeasure, 3>& layer_measures() {
  static const std::array<LayerMeasure, 3> kMeasures = {
      {{"error", "Error of each layer's output", percent},
       {"weight_error", "Error of each layer's weights", plain},
       {"sparsity", "Share of zeros in each layer", percent}}};
  return kMeasures;
}

std::vector<Bar> layer_bars(const json& layers, const LayerMeasure& measure) {
  std::vector<Bar> out;
  for (const auto& layer : layers) {
    if (!layer.is_object() || !layer.contains(measure.key)) continue;
    const double value = number(layer[measure.key]);
    if (!std::isfinite(value)) continue;
    const bool skipped = layer.contains("skipped") && layer["skipped"] == true;
    const std::string op = text(layer, "op");
    out.push_back({text(layer, "name") + (op.empty() ? "" : " (" + op + ")"), value,
                   measure.show(value) + (skipped ? ", left alone" : ""), skipped});
  }
  return out;
}

std::string layers_of(const json& method) {
  const json& layers = at(method, "/layers");
  if (!layers.is_array()) return {};
  for (const auto& measure : layer_measures()) {
    auto bars = layer_bars(layers, measure);
    if (bars.empty()) continue;
    const std::size_t all = bars.size();
    if (all > kMostLayers) {
      std::ranges::stable_sort(bars, std::greater<>(), &Bar::value);
      bars.resize(kMostLayers);
    }
    std::string title = text(method, "method") + ": " + measure.title;
    if (all > kMostLayers) title += fmt::format(", the greatest {} of {}", kMostLayers, all);
    return draw_bars(title, bars);
  }
  return {};
}

std::string layers(const json& all) {
  const json& methods = at(all, "/methods");
  std::string out;
  for (const auto& method : methods.is_array() ? methods : json::array()) out += layers_of(method);
  return out.empty() ? out : "<h2>Layer by layer</h2>\n" + out;
}

std::string notes(const Report& report) {
  if (report.notes.empty()) return {};
  std::string out = "<h2>Notes</h2>\n<ul>\n";
  for (const auto& note : report.notes) {
    out += "<li>" + escaped(note, 2000) + "</li>\n";
  }
  return out + "</ul>\n";
}

std::string how(const Report& report, const json& all) {
  const std::string rows = report.synthesised
                               ? "rows that were made up, as none were given: nothing is known of "
                                 "how right either model is on real ones"
                               : "the rows of " + report.rows_from;
  return fmt::format(
      "<h2>How it was measured</h2>\n<p>Both models answered {} rows, {} of them with a label: {}. "
      "Times are of the models alone, without a server, on one thread and on this machine: both "
      "ran in turns, so that what else the machine did falls on both; latency is of one row, "
      "throughput of {} rows at a time. Memory is what a process takes more once the model is "
      "loaded and has run. Compressing took {} s.</p>\n"
      "<p class=\"pale\">Made {} by {} from {}, whose file has SHA-256 {}.</p>\n",
      datum(all, "/comparison/rows", counted), datum(all, "/comparison/labelled", counted),
      escaped(rows), datum(all, "/before/batch", counted), datum(all, "/seconds", plain),
      escaped(report.created), escaped(report.method), escaped(report.model),
      escaped(report.sha256));
}

}  // namespace

std::string report_page(const Report& report) {
  const json all = report_json(report);
  return heading(report) + conclusion(report, all) + pictures(report, all) + figures(report, all) +
         likeness(all) + worst_rows(all) + layers(all) + notes(report) + how(report, all) +
         "</body></html>\n";
}

}  // namespace sluice::tools::compress
