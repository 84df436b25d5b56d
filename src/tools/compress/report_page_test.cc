#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
  out.timing.before = {123.456, 150.5, 20'000, 64, 3200, 3300};
  out.timing.after = {61.728, 80.25, 45'000, 64, 1422.2, 1500};
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

struct Tag {
  std::string name;  // "/p" where it closes
  std::vector<std::pair<std::string, std::string>> attributes;
  bool alone = false;  // "<br/>"
};

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-';
  });
}

// One tag without its brackets. Nothing: it is none.
std::optional<Tag> tag_of(std::string_view text) {
  Tag out;
  out.alone = text.ends_with('/');
  if (out.alone) text.remove_suffix(1);
  const auto end = std::min(text.find(' '), text.size());
  out.name = text.substr(0, end);
  text.remove_prefix(end);
  if (!is_name(out.name.starts_with('/') ? out.name.substr(1) : out.name)) return std::nullopt;
  while (!text.empty()) {
    text.remove_prefix(1);  // the space
    const auto equals = text.find("=\"");
    if (equals == std::string_view::npos) return std::nullopt;
    const auto quote = text.find('"', equals + 2);
    if (quote == std::string_view::npos) return std::nullopt;
    const auto name = text.substr(0, equals);
    if (!is_name(name)) return std::nullopt;
    out.attributes.emplace_back(name, text.substr(equals + 2, quote - equals - 2));
    text.remove_prefix(quote + 1);
    if (!text.empty() && text[0] != ' ') return std::nullopt;
  }
  return out;
}

// All tags behind the doctype; where one is wrong, an empty one is the last. Strict as XML is: no <
// and no > is anything else, and the page closes what HTML would let it leave open.
std::vector<Tag> tags_of(std::string_view page) {
  std::vector<Tag> out;
  page.remove_prefix(page.find('\n'));
  while (true) {
    const auto begin = page.find_first_of("<>");
    if (begin == std::string_view::npos) return out;
    const auto end = page.find_first_of("<>", begin + 1);
    auto tag = end == std::string_view::npos || page[begin] != '<' || page[end] != '>'
                   ? std::nullopt
                   : tag_of(page.substr(begin + 1, end - begin - 1));
    out.push_back(tag.value_or(Tag()));
    if (!tag) return out;
    page.remove_prefix(end + 1);
  }
}

// What is wrong with the nesting of a page's tags; empty: nothing.
std::string fault_of(const std::string& page) {
  std::vector<std::string> open;
  for (const auto& tag : tags_of(page)) {
    if (tag.name.empty()) return "a < or > that belongs to no tag";
    if (tag.alone) continue;
    if (!tag.name.starts_with('/')) {
      open.push_back(tag.name);
      continue;
    }
    if (open.empty() || "/" + open.back() != tag.name) return tag.name + " closes nothing";
    open.pop_back();
  }
  return open.empty() ? "" : open.back() + " stays open";
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
  for (const auto& tag : tags_of(page)) {
    for (const auto& [name, value] : tag.attributes) EXPECT_FALSE(name.starts_with("on")) << name;
  }
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
  std::vector<std::string> keys;
  for (const auto& tag : tags_of(page)) {
    if (tag.name != "data") continue;
    ASSERT_EQ(tag.attributes.size(), 2U);
    keys.push_back(tag.attributes[0].second);
    EXPECT_EQ(all.at(nlohmann::json::json_pointer(keys.back())).dump(), tag.attributes[1].second)
        << keys.back();
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
  EXPECT_NE(page.find("as far as rows that were made up can tell"), std::string::npos);
  EXPECT_EQ(page.find("take the original's place"), std::string::npos);
  EXPECT_EQ(page.find("cost of storage"), std::string::npos);
  EXPECT_EQ(page.find("The rows that changed most"), std::string::npos);
  for (const auto* nan : {">nan", ">-nan", "\"nan", "\"-nan"}) {
    EXPECT_EQ(page.find(nan), std::string::npos);
  }
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

TEST(ReportJson, NamesThatAreNoTextStopNothing) {
  auto report = example();
  report.notes = {"broken \xff name"};
  report.details["methods"][0]["layers"][0]["name"] = "\xc3(";
  const auto text = json_text(report_json(report), 2);
  EXPECT_TRUE(is_utf8(text));
  const auto again = nlohmann::json::parse(text);
  EXPECT_EQ(again["notes"][0], "broken \uFFFD name");
  EXPECT_EQ(again["before"]["file_bytes"], 4'000'000);
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
