#include "tools/compress/prediction_log.h"

#include <gtest/gtest.h>

#include <cmath>

#include "clients/testing/tables.h"
#include "tools/compress/testing/signatures.h"

namespace sluice::tools::compress {
namespace {

using Strings = std::vector<std::string>;
using Numbers = std::vector<double>;

std::string line(const std::string& features, const std::string& more = "",
                 const std::string& model = "fraud") {
  return R"({"timestamp":"2026-11-26T17:00:00.123456Z","request_id":"r","model":")" + model +
         R"(","model_version":"v2","features":)" + features +
         R"(,"prediction":1.0,"confidence":0.93,"latency_ms":0.184,"user_id":null)" + more + "}\n";
}

class LogAsDataset : public clients::Tables {
 protected:
  Result<Dataset> read(const Signature& signature, const std::string& lines,
                       DatasetOptions options = {}) {
    options.file = put("log.jsonl", lines).string();
    return read_dataset(signature, options);
  }
  std::string fault(const Signature& signature, const std::string& lines,
                    DatasetOptions options = {}) {
    const auto got = read(signature, lines, std::move(options));
    return got ? "nothing" : std::string(got.error().reason) + ": " + got.error().message;
  }

  // As log_parquet.cc makes it, in the columns that are read.
  clients::TableWriter parquet(const std::string& name) const {
    using clients::CellType;
    auto writer = engine().write(root_ / name, {{"model", CellType::kText},
                                                {"model_version", CellType::kText},
                                                {"features", CellType::kReals},
                                                {"features_json", CellType::kText},
                                                {"rows", CellType::kInteger},
                                                {"latency_ms", CellType::kReal},
                                                {"true_label", CellType::kReal}});
    return std::move(writer).value();
  }
  static void put_row(clients::TableWriter& writer, const std::vector<double>& features,
                      const std::string& json, std::optional<double> label) {
    writer.text("fraud").text("v1");
    features.empty() ? writer.null() : writer.reals(features);
    json.empty() ? writer.null() : writer.text(json);
    writer.integer(1).real(0.2);
    label ? writer.real(*label) : writer.null();
    ASSERT_TRUE(writer.end_row());
  }

  const Signature two_ = signature({input("x", {-1, 2})});
};

TEST_F(LogAsDataset, LinesAreRowsAndTrueLabelsAreLabels) {
  const auto data = read(two_, line("[1.5,2]", R"(,"true_label":1)") + line("[3,null]") +
                                   line("[4,5]", R"(,"label":"cat","true_label":0.5)"));
  ASSERT_TRUE(data) << data.error().message;
  const auto got = values(*data);
  EXPECT_EQ(Numbers(got.begin(), got.begin() + 3), (Numbers{1.5, 2, 3}));
  EXPECT_TRUE(std::isnan(got[3]));
  EXPECT_EQ(got[4], 4);
  EXPECT_EQ(data->labels(), (Strings{"1", "", "0.5"}));
  EXPECT_EQ(data->batches().size(), 1U);
  EXPECT_TRUE(data->notes().empty());
}

TEST_F(LogAsDataset, WithoutTrueLabelsThereAreNone) {
  const auto data = read(two_, line("[1,2]", R"(,"label":"cat")"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_FALSE(data->labelled());
}

TEST_F(LogAsDataset, SeveralRowsOfALineAreRows) {
  const auto data = read(
      two_, line("[[1,2],[3,4]]", R"(,"true_label":1)") + line("[[5,6]]", R"(,"true_label":0)"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->rows(), 3U);
  EXPECT_EQ(values(*data), (Numbers{1, 2, 3, 4, 5, 6}));
  // Which of two rows a label is of, nobody knows.
  EXPECT_EQ(data->labels(), (Strings{"", "", "0"}));
}

TEST_F(LogAsDataset, SeveralInputsAreFoundByName) {
  const auto model = signature({input("a", {-1, 2}), input("b", {-1, 1}, DType::kInt64),
                                input("c", {-1, 1}, DType::kString)});
  const auto data = read(model, line(R"({"b":[7],"c":["x"],"a":[1,2]})") +
                                    line(R"({"a":[[3,4],[5,6]],"b":[[8],[9]],"c":[["y"],["z"]]})") +
                                    line(R"({"input_0":[0,0],"input_1":[1],"input_2":["w"]})"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(values(*data, 0), (Numbers{1, 2, 3, 4, 5, 6, 0, 0}));
  EXPECT_EQ(values(*data, 1), (Numbers{7, 8, 9, 1}));
  EXPECT_EQ(data->batches()[0].inputs[2].strings[2], "z");
}

TEST_F(LogAsDataset, WhatIsNoRowOfTheModelIsLeftOutAndSaid) {
  const auto model = signature({input("x", {-1, 2}, DType::kInt64)});
  const auto data =
      read(model, line("[1,2]") + line("[1,2,3]") + line("[1,null]") + line("[0.5,1]") +
                      line(R"(["a",1])") + line("[[3,4],[5]]") + line(R"({"y":[1,2]})") +
                      line("7") + line("[{},1]") + line("[[[1]],[2]]"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(values(*data), (Numbers{1, 2, 3, 4}));
  ASSERT_EQ(data->notes().size(), 1U);
  EXPECT_EQ(data->notes()[0],
            "10 rows of 'log.jsonl' were left out, which the model cannot take; the first: input "
            "'x' has 3 values in a row; expected the shape [2]");
}

TEST_F(LogAsDataset, HashedAndMissingFeaturesAreSaid) {
  const std::string hashed = R"("h:0123456789abcdef")";
  const auto data = read(two_, line(hashed) + line("null") + line("[1,2]") + line(hashed));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->rows(), 1U);
  EXPECT_EQ(data->notes(),
            (Strings{"2 lines of 'log.jsonl' were left out, whose features are hashed",
                     "1 lines of 'log.jsonl' were left out, which have no features"}));
  EXPECT_EQ(fault(two_, line(hashed) + line("null")),
            "empty_table: 'log.jsonl' has no features to read: of 2 lines 1 have them hashed, the "
            "others have none; a log with them is written with 'log: {features: full}' in "
            "model.yaml");
}

TEST_F(LogAsDataset, LinesOfOtherModels) {
  const std::string lines = line("[1,2]") + line("[3,4]", "", "churn") + line("[5,6]");
  DatasetOptions options;
  options.model = "churn";
  const auto one = read(two_, lines, options);
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(values(*one), (Numbers{3, 4}));
  EXPECT_EQ(one->notes(),
            (Strings{"2 lines of 'log.jsonl' were left out, which are of other models"}));
  options.model = "other";
  EXPECT_EQ(fault(two_, lines, options),
            "empty_table: 'log.jsonl' has no line of the model 'other'; its lines are of 'churn' "
            "and 'fraud'");
  const auto all = read(two_, lines);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->rows(), 3U);
  EXPECT_EQ(all->notes(),
            (Strings{"'log.jsonl' has lines of several models: 'churn' and 'fraud'; all whose "
                     "features fit were used"}));
}

TEST_F(LogAsDataset, BrokenAndEndlessLines) {
  const std::string endless = "{\"features\":[" + std::string(5 << 20, '1') + "]}\n";
  const std::string deep = "{\"features\":" + std::string(100'000, '[') + "\n";
  const std::string torn = line("[3,4]").substr(0, 100);
  const auto data = read(two_, line("[1,2]") + endless + deep + "\n" + line("[5,6]") + torn);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(values(*data), (Numbers{1, 2, 5, 6}));
  EXPECT_EQ(data->notes(), (Strings{"4 lines of 'log.jsonl' were left out, which are no JSON "
                                    "objects or are too long"}));
  // Without an end of its last line.
  auto open_end = line("[1,2]") + line("[5,6]");
  open_end.pop_back();
  EXPECT_EQ(read(two_, open_end)->rows(), 2U);
}

TEST_F(LogAsDataset, ReadsNoMoreThanIsAskedFor) {
  DatasetOptions options;
  options.most_rows = 3;
  options.batch = 2;
  const auto data =
      read(two_, line("[[1,2],[3,4]]") + line("[[5,6],[7,8]]") + line("[9,9]"), options);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(values(*data), (Numbers{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(data->batches().size(), 2U);
  EXPECT_EQ(data->notes(), (Strings{"of 'log.jsonl' the first 3 rows were used"}));
}

TEST_F(LogAsDataset, OfAFreeDimensionRowsOfOneLengthGoTogether) {
  const auto data = read(signature({input("x", {-1, -1})}),
                         line("[1,2]") + line("[3,4]") + line("[5,6,7]") + line("[8]"));
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->batches().size(), 3U);
  EXPECT_EQ(data->batches()[0].inputs[0].shape, (Shape{2, 2}));
  EXPECT_EQ(data->batches()[1].inputs[0].shape, (Shape{1, 3}));
  EXPECT_EQ(data->batches()[2].first, 3U);
}

TEST_F(LogAsDataset, OnlyTrueLabelsAreLabels) {
  DatasetOptions options;
  options.label = "label";
  options.label_given = true;
  EXPECT_TRUE(fault(two_, line("[1,2]", R"(,"label":"cat")"), options)
                  .starts_with("unknown_column: 'log.jsonl' is a prediction log, whose labels are "
                               "in 'true_label', and --label names 'label'"));
  options.label = "true_label";
  EXPECT_EQ(fault(two_, line("[1,2]"), options), "nothing");
}

TEST_F(LogAsDataset, ParquetHasTheSameRows) {
  auto writer = parquet("log.parquet");
  put_row(writer, {1.5, NAN}, "", 3);
  put_row(writer, {}, "[[3,4],[5,6]]", std::nullopt);
  put_row(writer, {}, R"("h:0123456789abcdef")", 1);
  put_row(writer, {}, "", 1);
  put_row(writer, {7, 8, 9}, "", 1);
  put_row(writer, {7, 8}, "", NAN);
  ASSERT_TRUE(writer.finish());
  DatasetOptions options;
  options.file = (root_ / "log.parquet").string();
  const auto data = read_dataset(two_, options);
  ASSERT_TRUE(data) << data.error().message;
  const auto got = values(*data);
  EXPECT_EQ(got[0], 1.5);
  EXPECT_TRUE(std::isnan(got[1]));
  EXPECT_EQ(Numbers(got.begin() + 2, got.end()), (Numbers{3, 4, 5, 6, 7, 8}));
  ASSERT_EQ(data->labels().size(), 4U);
  EXPECT_EQ(std::stod(data->labels()[0]), 3);
  EXPECT_EQ(data->labels()[3], "");
  EXPECT_EQ(data->notes().size(), 3U);
}

TEST_F(LogAsDataset, AllFilesOfAPatternAreRead) {
  put("p-10.jsonl", line("[5,6]"));
  put("p-2.jsonl", line("[1,2]") + line("[3,4]"));
  DatasetOptions options;
  options.file = (root_ / "p-*.jsonl").string();
  const auto data = read_dataset(two_, options);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(values(*data), (Numbers{1, 2, 3, 4, 5, 6}));
}

TEST_F(LogAsDataset, IsToldFromOtherTables) {
  const auto is = [&](const std::string& name, const std::string& bytes) {
    return is_prediction_log(put(name, bytes).string());
  };
  EXPECT_TRUE(*is("a.jsonl", line("null")));
  EXPECT_FALSE(*is("b.jsonl", "{\"features\":[1],\"model_version\":\"v1\"}\n"));
  EXPECT_FALSE(*is("c.jsonl", "[1,2]\n"));
  EXPECT_FALSE(*is("d.jsonl", "\xff\xfe{\n"));
  EXPECT_FALSE(*is("e.csv", "features,model_version,latency_ms\n1,2,3\n"));
  EXPECT_EQ(is_prediction_log((root_ / "none.jsonl").string()).error().reason, "no_table");
}

}  // namespace
}  // namespace sluice::tools::compress
