// Files of rows, and pictures of explanations.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "app/explain_plot.h"
#include "app/rows_file.h"

namespace sluice::app {
namespace {

using nlohmann::json;

class RowsFiles : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + name, std::ios::binary) << text;
    return folder_ + name;
  }
  Result<RowsFile> read(const std::string& name, const std::string& text,
                        std::size_t most = 100) const {
    return read_rows(put(name, text), most, "the input file");
  }

 private:
  const std::string folder_ = testing::TempDir() + "rows_" + std::to_string(::getpid()) + "/";
};

Signature columns(std::vector<std::string> names) {
  Signature out;
  out.inputs.push_back({"x", DType::kFloat32, {-1, static_cast<std::int64_t>(names.size())}, {}});
  out.columns = std::move(names);
  return out;
}

TEST_F(RowsFiles, CsvHasAHeaderQuotesAndHoles) {
  const auto file = read("a.csv", "\"a, \"\"x\"\"\",b\r\n1.5,\r\n\r\n\"2\",t\r\n");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->columns, (std::vector<std::string>{"a, \"x\"", "b"}));
  ASSERT_EQ(file->rows.size(), 2U);
  EXPECT_EQ(file->rows[0], (json{1.5, nullptr}));
  EXPECT_EQ(file->rows[1], (json{2.0, "t"}));
}

TEST_F(RowsFiles, JsonIsAListOrARow) {
  EXPECT_EQ(read("a.json", "[[1, 2], [3, 4]]")->rows.size(), 2U);
  EXPECT_EQ(read("a.json", "[1, 2]")->rows, std::vector<json>{(json{1, 2})});
  EXPECT_EQ(read("a.json", "{\"a\": 1}")->rows[0]["a"], 1);
  EXPECT_EQ(read("a.json", "{\"features\": [[1], [2], [3]]}")->rows.size(), 3U);
}

TEST_F(RowsFiles, LinesMayBeRequests) {
  const auto file = read("a.jsonl", "[1]\n\n{\"features\": [2], \"user_id\": \"u\"}\n{\"a\": 3}\n");
  ASSERT_TRUE(file);
  ASSERT_EQ(file->rows.size(), 3U);
  EXPECT_EQ(file->rows[1], json{2});
  EXPECT_EQ(file->rows[2]["a"], 3);
  EXPECT_EQ(read("a.jsonl", "[1]\n[2]\n[3]\n", 2)->rows.size(), 2U);
}

TEST_F(RowsFiles, FaultsNameTheLine) {
  const auto message = [](const Result<RowsFile>& file) {
    return file ? std::string() : file.error().message;
  };
  EXPECT_NE(message(read("a.csv", "a,b\n1,2\n3\n")).find("line 3 of the input file"),
            std::string::npos);
  EXPECT_NE(message(read("a.jsonl", "[1]\nnothing\n")).find("line 2 of the input file"),
            std::string::npos);
  EXPECT_NE(message(read("a.json", "7")).find("no rows"), std::string::npos);
  EXPECT_NE(message(read("a.csv", "a,b\n")).find("no rows"), std::string::npos);
  EXPECT_NE(message(read("a.txt", "1")).find(".csv"), std::string::npos);
}

TEST_F(RowsFiles, ColumnsAreFoundByTheirNames) {
  auto file = *read("a.csv", "b,other,a\n1,2,3\n");
  ASSERT_TRUE(arrange(file, columns({"a", "b"}), "the input file"));
  EXPECT_EQ(file.rows[0], (json{3.0, 1.0}));
  auto missing = *read("a.csv", "b\n1\n");
  const auto arranged = arrange(missing, columns({"a", "b"}), "the input file");
  ASSERT_FALSE(arranged);
  EXPECT_NE(arranged.error().message.find("no column 'a'"), std::string::npos);
}

TEST_F(RowsFiles, NumbersAreInTheModelsOrder) {
  const auto file = *read("a.jsonl", "{\"b\": 1, \"a\": 2}\n{\"a\": 4, \"b\": null}\n");
  const auto numbers = numbers_of(file, columns({"a", "b"}), "the input file");
  ASSERT_TRUE(numbers);
  EXPECT_EQ((*numbers)[0], 2);
  EXPECT_EQ((*numbers)[2], 4);
  EXPECT_TRUE(std::isnan((*numbers)[3]));
  EXPECT_FALSE(numbers_of(*read("b.jsonl", "[1, 2]\n[1]\n"), columns({"a", "b"}), "it"));
  EXPECT_FALSE(numbers_of(*read("b.jsonl", "[\"x\"]\n"), columns({"a"}), "it"));
}

std::vector<Explained> two_rows() {
  return {{"row 0", "value", 1, {{"a<b>", "1", 0.5}, {"c", "2", -2}}},
          {"row 1", "value", 1, {{"a<b>", "3", -1.5}, {"c", "4", 0.25}}}};
}

TEST(ExplainPlot, MeansAreOfSizes) {
  const auto means = mean_sizes(two_rows());
  ASSERT_EQ(means.size(), 2U);
  EXPECT_EQ(means[0].name, "c");
  EXPECT_EQ(means[0].attribution, 1.125);
  EXPECT_EQ(means[1].attribution, 1);
  EXPECT_EQ(two_rows()[0].answer(), -0.5);
  EXPECT_EQ(two_rows()[0].by_size(), (std::vector<std::size_t>{1, 0}));
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
  return out;
}

TEST(ExplainPlot, HasAPanelOfMeansAndOneForEachRow) {
  const auto page = explain_html("<i>heading</i>", two_rows());
  EXPECT_EQ(count(page, "<svg "), 3U);
  EXPECT_EQ(count(page, "class=\"mean\""), 2U);
  EXPECT_EQ(count(page, "class=\"up\""), 2U);
  EXPECT_EQ(count(page, "class=\"down\""), 2U);
  EXPECT_EQ(count(page, "<i>"), 0U) << "text is text";
  EXPECT_EQ(count(page, "a<b>"), 0U);
  EXPECT_EQ(count(page, "a&lt;b&gt;"), 3U);
  const auto picture = explain_svg("heading", two_rows());
  EXPECT_EQ(count(picture, "<svg "), 1U);
  EXPECT_EQ(count(picture, "<g "), 3U);
}

TEST(ExplainPlot, ManyFeaturesAreDrawnAsOthers) {
  Explained row{"row 0", "value", 0, {}};
  for (int i = 0; i < 40; ++i) row.features.push_back({"f" + std::to_string(i), "0", 1.0 + i});
  const auto page = explain_html("many", {row});
  EXPECT_EQ(count(page, "26 others"), 1U);
  EXPECT_EQ(count(page, "class=\"up\""), 15U);
  EXPECT_EQ(count(page, "and 20 smaller ones"), 1U);
  EXPECT_EQ(count(page, "+351"), 1U) << "1 + 2 + … + 26";
}

TEST(ExplainPlot, NothingToDrawIsNoFault) {
  const auto page = explain_html("flat", {{"row 0", "value", 0, {{"a", "1", 0}}}});
  EXPECT_EQ(count(page, "nan"), 0U);
  EXPECT_EQ(count(page, "inf"), 0U);
}

}  // namespace
}  // namespace sluice::app
