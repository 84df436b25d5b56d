#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "base/text.h"
#include "tools/compress/page_drawing.h"
#include "tools/compress/report.h"

namespace sluice::tools::compress {
namespace {

Report example() {
  Report out;
  out.model = "fraud/v1";
  out.sha256 = "ab12";
  out.method = "prune:sparsity=0.3+static-int8";
  out.created = "2025-01-02T03:04:05Z";
  out.rows_from = "test.parquet";
  out.before = {4'000'000, 9'500'000, 0.0123};
  out.after = {1'040'321, 3'200'000, 0.0031};
  auto& comparison = out.comparison;
  comparison.rows = 360;
  comparison.labelled = 359;
  comparison.classified = true;
  comparison.before = Score{0.975, std::nullopt};
  comparison.after = Score{0.97, std::nullopt};
  comparison.agreement = 0.9888;
  comparison.mean_difference = 0.00123456789;
  comparison.greatest_difference = 0.25;
  comparison.drop = 0.005;
  comparison.quality = "accuracy";
  comparison.worst = {{17, 0.25, "cat", "dog"}, {3, HUGE_VAL, "1", "none"}};
  out.timing.before = {123.456, 150.5, 20'000, 64};
  out.timing.after = {61.728, 80.25, 45'000, 64};
  out.timing.faster = 2;
  out.timing.throughput = 2.25;
  out.max_drop = 0.01;
  out.seconds = 1.5;
  out.notes = {"2 Conv nodes stay in FP32"};
  out.details["methods"] = {
      {{"method", "static-int8"},
       {"layers",
        {{{"name", "conv1"}, {"op", "Conv"}, {"error", 0.083}, {"skipped", true}},
         {{"name", "fc"}, {"op", "Gemm"}, {"error", 0.004}, {"skipped", false}}}}}};
  return out;
}

// What is wrong with the nesting of a page's tags; empty: nothing. Strict as XML is: the page
// closes what HTML would let it leave open.
std::string fault_of(const std::string& page) {
  static const std::regex kTag(
      R"re(<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z0-9-]+="[^"<>]*")*)\s*(/?)>)re");
  std::vector<std::string> open;
  std::size_t last = page.find('\n');  // after the doctype
  const auto begin = page.begin() + static_cast<std::ptrdiff_t>(last);
  std::string between;
  for (std::sregex_iterator it(begin, page.end(), kTag), end; it != end; ++it) {
    between += it->prefix();
    last = static_cast<std::size_t>(it->suffix().first - page.begin());
    const std::string name = (*it)[2];
    if ((*it)[4].length() > 0) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
      continue;
    }
    if (open.empty()) return "closes " + name + ", which is not open";
    if (open.back() != name) return "closes " + name + " inside " + open.back();
    open.pop_back();
  }
  between += page.substr(last);
  if (!open.empty()) return open.back() + " stays open";
  return between.find_first_of("<>") == std::string::npos ? "" : "a bare < or >";
}

std::size_t count_of(const std::string& text, std::string_view what) {
  std::size_t out = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++out;
  return out;
}

TEST(ReportPage, IsOneWellFormedFileWithoutScriptsOrAnythingFromElsewhere) {
  const auto page = report_page(example());
  EXPECT_EQ(fault_of(page), "");
  EXPECT_TRUE(is_utf8(page));
  for (const auto* word : {"http", "<script", "src=", "href", "url(", "@import", "<link"}) {
    EXPECT_EQ(page.find(word), std::string::npos) << word;
  }
  EXPECT_FALSE(std::regex_search(page, std::regex("<[^>]*\\son[a-z]+=")));
  EXPECT_NE(page.find("prefers-color-scheme:dark"), std::string::npos);
  EXPECT_NE(page.find("@media print"), std::string::npos);
}

TEST(ReportPage, TheCheckerFindsWhatIsWrong) {
  EXPECT_NE(fault_of("x\n<p><b></p></b>"), "");
  EXPECT_NE(fault_of("x\n<p>"), "");
  EXPECT_NE(fault_of("x\n</p>"), "");
  EXPECT_NE(fault_of("x\n<p>a < b</p>"), "");
  EXPECT_NE(fault_of("x\n<p title=\"a\"b\">x</p>"), "");
  EXPECT_EQ(fault_of("x\n<p title=\"a\">x<br/></p>"), "");
}

TEST(ReportPage, ShowsTheNumbersOfTheJsonReport) {
  const auto report = example();
  const auto all = report_json(report);
  const auto page = report_page(report);
  static const std::regex kDatum("<data data-key=\"([^\"]+)\" value=\"([^\"]+)\">");
  std::vector<std::string> keys;
  for (std::sregex_iterator it(page.begin(), page.end(), kDatum), end; it != end; ++it) {
    keys.push_back((*it)[1]);
    EXPECT_EQ(all.at(nlohmann::json::json_pointer(keys.back())).dump(), (*it)[2]) << keys.back();
  }
  for (const auto* key : {"/before/file_bytes",
                          "/after/file_bytes",
                          "/before/memory_bytes",
                          "/after/memory_bytes",
                          "/before/p50_us",
                          "/after/p50_us",
                          "/before/p95_us",
                          "/after/p95_us",
                          "/before/rows_per_second",
                          "/after/rows_per_second",
                          "/before/accuracy",
                          "/after/accuracy",
                          "/before/monthly_cost",
                          "/after/monthly_cost",
                          "/comparison/agreement",
                          "/comparison/drop",
                          "/comparison/rows",
                          "/comparison/labelled",
                          "/comparison/max_absolute_difference",
                          "/comparison/worst_rows/0/row",
                          "/comparison/worst_rows/0/difference",
                          "/max_accuracy_drop",
                          "/seconds"}) {
    EXPECT_TRUE(std::ranges::find(keys, key) != keys.end()) << key;
  }
}

TEST(ReportPage, ShowsNumbersRoundedAsInTheTerminal) {
  const auto page = report_page(example());
  for (const auto* text : {">4.00 MB<",
                           ">1.04 MB<",
                           ">123.5 µs<",
                           ">61.7 µs<",
                           ">45000 rows/s<",
                           ">97.50 %<",
                           ">97.00 %<",
                           ">96.50 %<",
                           "26.01 % of the original",
                           "2.00 ×",
                           "2.25 ×",
                           "accuracy drops by 0.0050, 0.0100 is allowed",
                           ">0.001235<",
                           ">17<",
                           ">cat<",
                           ">dog<",
                           "no number any more",
                           "2 Conv nodes stay in FP32",
                           "test.parquet",
                           "conv1 (Conv)",
                           "8.30 %, left alone",
                           ">0.40 %<",
                           "Still right"}) {
    EXPECT_NE(page.find(text), std::string::npos) << text;
  }
}

TEST(ReportPage, BarsAreAsLongAsTheirNumbers) {
  const auto svg = draw_pairs("t", {{"a", 4, 1, "4", "1"}});
  EXPECT_NE(svg.find("class=\"before\" x=\"250\" y=\"30.0\" width=\"460.00\""), std::string::npos);
  EXPECT_NE(svg.find("class=\"after\" x=\"250\" y=\"52.0\" width=\"115.00\""), std::string::npos);
}

TEST(ReportPage, MarksTheAllowedDropBetweenBeforeAndAfter) {
  // Before at the right end; after, which lost twice as much as allowed, at the left one.
  const auto svg = draw_allowed_drop({"accuracy", 0.9, 0.7, 0.8, "0.9", "0.7", "0.8"});
  EXPECT_NE(svg.find("class=\"before\" cx=\"710.00\""), std::string::npos);
  EXPECT_NE(svg.find("class=\"after\" cx=\"250.00\""), std::string::npos);
  EXPECT_NE(svg.find("class=\"limit\" x1=\"480.00\""), std::string::npos);
}

TEST(ReportPage, SaysInWordsWhatIsNotGoodEnough) {
  auto report = example();
  report.comparison.drop = 0.02;
  report.comparison.after->quality = 0.955;
  auto page = report_page(report);
  EXPECT_NE(page.find("Not good enough"), std::string::npos);
  EXPECT_NE(page.find("accuracy drops by 0.0200, 0.0100 is allowed: it is not written"),
            std::string::npos);
  report.comparison.drop = 0;
  report.comparison.lost = 4;
  page = report_page(report);
  EXPECT_NE(page.find("4 of 360 rows have no answer any more"), std::string::npos);
  EXPECT_EQ(page.find("Still right"), std::string::npos);
}

TEST(ReportPage, HostileNamesAreOnlyText) {
  const std::string hostile = "</title><script>alert(1)</script>\"'&\x1b[31m\x01<img onerror=x>";
  auto report = example();
  report.model = report.method = report.rows_from = report.sha256 = report.created = hostile;
  report.notes = {hostile, "broken \xff\xc3 bytes"};
  report.comparison.worst[0].before = hostile;
  report.comparison.worst[0].after = "\xf0\x9f";
  auto& method = report.details["methods"][0];
  method["method"] = hostile;
  method["layers"][0]["name"] = hostile;
  method["layers"][0]["op"] = hostile;
  const auto page = report_page(report);
  EXPECT_EQ(fault_of(page), "");
  EXPECT_TRUE(is_utf8(page));
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find('\x1b'), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;?[31m?"),
            std::string::npos);
  EXPECT_NE(page.find("broken ?? bytes"), std::string::npos);
}

TEST(ReportPage, DetailsOfAnotherFormAreLeftOut) {
  auto report = example();
  report.details = {{"methods",
                     {1,
                      {{"method", 7}, {"layers", "none"}},
                      {{"layers", {3, {{"name", 5}, {"error", "big"}}, {{"error", nullptr}}}}}}}};
  const auto page = report_page(report);
  EXPECT_EQ(fault_of(page), "");
  EXPECT_EQ(page.find("Layer by layer"), std::string::npos);
}

TEST(ReportPage, WithoutLabelsTheOriginalIsWhatIsRight) {
  auto report = example();
  auto& comparison = report.comparison;
  comparison.before.reset();
  comparison.after.reset();
  comparison.classified = false;
  comparison.quality = "R² with the original";
  comparison.worst.clear();
  comparison.mean_difference = NAN;
  report.synthesised = true;
  report.before.monthly_cost.reset();
  report.after.monthly_cost.reset();
  const auto page = report_page(report);
  EXPECT_EQ(fault_of(page), "");
  EXPECT_NE(page.find(">1.0000<"), std::string::npos);
  EXPECT_NE(page.find(">0.9950<"), std::string::npos);
  EXPECT_NE(page.find("R² with the original drops by 0.0050"), std::string::npos);
  EXPECT_NE(page.find("rows that were made up"), std::string::npos);
  EXPECT_EQ(page.find("cost of storage"), std::string::npos);
  EXPECT_EQ(page.find("The rows that changed most"), std::string::npos);
  EXPECT_FALSE(std::regex_search(page, std::regex("[>\"]-?nan")));
}

TEST(ReportPage, ShowsTheGreatestOfManyLayers) {
  auto report = example();
  auto layers = nlohmann::json::array();
  for (int i = 0; i < 100; ++i) {
    layers.push_back({{"name", "node" + std::to_string(i)}, {"op", "Gemm"}, {"error", i / 1000.0}});
  }
  report.details["methods"][0]["layers"] = layers;
  const auto page = report_page(report);
  EXPECT_EQ(count_of(page, "(Gemm)"), 40U);
  EXPECT_NE(page.find("node60 (Gemm)"), std::string::npos);
  EXPECT_EQ(page.find("node59 (Gemm)"), std::string::npos);
  EXPECT_NE(page.find("the greatest 40 of 100"), std::string::npos);
}

TEST(ReportText, ColumnsStandBelowEachOther) {
  auto report = example();
  report.method = "µ-method";
  const auto text = report_text(report);
  const auto place = [&](std::string_view word) {
    const auto at = text.find(word);
    const auto start = text.rfind('\n', at) + 1;
    std::size_t out = 0;
    for (auto i = start; i < at; ++i) out += (text[i] & 0xC0) != 0x80 ? 1 : 0;
    return out;
  };
  EXPECT_EQ(place("before") + 6, place("4.00 MB") + 7);
  EXPECT_EQ(place("123.5 µs") + 8, place("4.00 MB") + 7);
  EXPECT_EQ(place("1.04 MB") + 7, place("61.7 µs") + 7);
}

}  // namespace
}  // namespace sluice::tools::compress
