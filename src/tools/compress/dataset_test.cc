#include "tools/compress/dataset.h"

#include <gtest/gtest.h>

#include <cmath>

#include "clients/testing/duckdb_sql.h"
#include "clients/testing/tables.h"
#include "tools/compress/testing/signatures.h"

namespace sluice::tools::compress {
namespace {

using Strings = std::vector<std::string>;
using Numbers = std::vector<double>;

class ReadDataset : public clients::Tables {
 protected:
  // Parquet, CSV or JSON lines, by the ending.
  std::string table(const std::string& name, const std::string& select) {
    const auto file = (root_ / name).string();
    const std::string format = name.ends_with(".csv")       ? "csv"
                               : name.ends_with(".parquet") ? "parquet"
                                                            : "json";
    sql_.run("COPY (" + select + ") TO '" + file + "' (FORMAT " + format + ")");
    return file;
  }

  static DatasetOptions of(std::string file, std::string label = "") {
    DatasetOptions out;
    out.file = std::move(file);
    out.label_given = !label.empty();
    out.label = std::move(label);
    return out;
  }
  static Dataset read(const Signature& signature, const DatasetOptions& options) {
    auto out = read_dataset(signature, options);
    if (out) return *std::move(out);
    ADD_FAILURE() << out.error().message;
    return {};
  }
  static std::string fault(const Signature& signature, const DatasetOptions& options) {
    const auto out = read_dataset(signature, options);
    return out ? "nothing" : std::string(out.error().reason);
  }

  clients::DuckdbSql sql_;
  const Signature named_ = signature({input("x", {-1, 2})}, {"age", "income"});
  const Signature nameless_ = signature({input("x", {-1, 2})});
  const Strings kinds_ = {"t.parquet", "t.csv", "t.jsonl"};
};

TEST_F(ReadDataset, ColumnsAreFoundByName) {
  for (const auto& kind : kinds_) {
    const auto file =
        table(kind, "SELECT * FROM (VALUES (10.5, 'x', 1), (20.0, 'y', 2)) t(income, other, age)");
    const auto data = read(named_, of(file));
    EXPECT_EQ(values(data), (Numbers{1, 10.5, 2, 20})) << kind;
    EXPECT_FALSE(data.labelled());
    ASSERT_EQ(data.batches().size(), 1U);
    EXPECT_EQ(data.batches()[0].inputs[0].shape, (Shape{2, 2}));
    EXPECT_EQ(data.batches()[0].rows, 2U);
  }
}

TEST_F(ReadDataset, ColumnsWithoutNamesAreTakenAsTheyCome) {
  for (const auto& kind : kinds_) {
    const auto file = table(kind, "SELECT * FROM (VALUES (1, 2.5), (3, 4.5)) t(b, a)");
    EXPECT_EQ(values(read(nameless_, of(file))), (Numbers{1, 2.5, 3, 4.5})) << kind;
  }
}

// A network with a state and a scalar: no input of it but one has a dimension of rows.
TEST_F(ReadDataset, ARowIsACallWhereInputsBelongToCalls) {
  const auto speech =
      signature({input("samples", {-1, -1}), input("state", {2, -1, 3}), input("rate", {})});
  EXPECT_TRUE(speech.rows_are_calls());
  EXPECT_FALSE(nameless_.rows_are_calls());
  EXPECT_FALSE(signature({input("x", {1, 4})}).rows_are_calls()) << "asked row by row";
  const auto file = table("t.jsonl",
                          "SELECT [0.5, 1.5] AS samples, [[[1, 2, 3]], [[4, 5, 6]]] AS state, "
                          "i AS rate FROM range(3) r(i)");
  const auto data = read(speech, of(file));
  EXPECT_EQ(data.rows(), 3U);
  ASSERT_EQ(data.batches().size(), 3U);
  const auto& inputs = data.batches()[1].inputs;
  EXPECT_EQ(inputs[0].shape, (Shape{1, 2}));
  EXPECT_EQ(inputs[1].shape, (Shape{2, 1, 3}));
  EXPECT_EQ(inputs[2].shape.rank(), 0U);
  EXPECT_EQ(number_at(inputs[1], 5), 6);
  EXPECT_EQ(number_at(inputs[2], 0), 1);
  EXPECT_TRUE(check_inputs(speech, inputs, true)) << "as the model takes them";
}

TEST_F(ReadDataset, TheLabelIsNoFeature) {
  for (const auto& kind : kinds_) {
    const auto file = table(
        kind, "SELECT * FROM (VALUES (1, 'cat', 2), (3, NULL, 4), (5, 'dog', 6)) t(a, truth, b)");
    const auto data = read(nameless_, of(file, "truth"));
    EXPECT_EQ(values(data), (Numbers{1, 2, 3, 4, 5, 6})) << kind;
    EXPECT_EQ(data.labels(), (Strings{"cat", "", "dog"})) << kind;
  }
}

TEST_F(ReadDataset, LabelsThatAreNumbersAreTextsOfThem) {
  for (const auto& kind : kinds_) {
    const auto file = table(kind, "SELECT * FROM (VALUES (1, 3, 2), (3, 7, 4)) t(a, y, b)");
    EXPECT_EQ(read(nameless_, of(file, "y")).labels(), (Strings{"3", "7"})) << kind;
  }
}

TEST_F(ReadDataset, ALabelThatIsNotThere) {
  const auto file = table("t.parquet", "SELECT 1 AS age, 2 AS income, 3 AS churned");
  const auto missing = read_dataset(named_, of(file, "churn"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().reason, "unknown_column");
  EXPECT_EQ(missing.error().message,
            "'t.parquet' has no column 'churn', which --label names; did you mean 'churned'?");
  // A name that nobody gave is only looked for.
  auto options = of(file, "churn");
  options.label_given = false;
  EXPECT_FALSE(read(named_, options).labelled());
}

TEST_F(ReadDataset, RowsThatTheModelCannotTakeAreLeftOutWithTheirLabels) {
  const auto whole = signature({input("x", {-1, 1}, DType::kInt8)}, {"n"});
  for (const auto& kind : kinds_) {
    const auto file =
        table(kind, "SELECT * FROM (VALUES (1, 'a'), (300, 'b'), (3, 'c'), (NULL, 'd')) t(n, y)");
    const auto data = read(whole, of(file, "y"));
    EXPECT_EQ(values(data), (Numbers{1, 3})) << kind;
    EXPECT_EQ(data.labels(), (Strings{"a", "c"})) << kind;
    EXPECT_EQ(data.notes(),
              (Strings{"2 rows of '" + kind +
                       "' were left out, which the model cannot take; the first: column 'n' is "
                       "outside of what INT8 can hold"}));
    const auto none = table(kind, "SELECT 1000 AS n, 'a' AS y");
    EXPECT_EQ(fault(whole, of(none, "y")), "empty_table");
  }
}

TEST_F(ReadDataset, MissingNumbersAreNaN) {
  for (const auto& kind : kinds_) {
    const auto file = table(kind, "SELECT * FROM (VALUES (1.5, 2), (NULL, 4)) t(age, income)");
    const auto got = values(read(named_, of(file)));
    ASSERT_EQ(got.size(), 4U);
    EXPECT_TRUE(std::isnan(got[2])) << kind;
    EXPECT_EQ(got[3], 4);
  }
}

TEST_F(ReadDataset, ListsAreRows) {
  const auto image = signature({input("x", {-1, 1, 2, 2})});
  const std::string nested = "([[[1.0, 2], [3, 4]]], 'a'), ([[[5, 6], [7, 8]]], 'b')";
  const std::string flat = "([1.0, 2, 3, 4], 'a'), ([5, 6, 7, 8], 'b')";
  for (const auto& [kind, rows] : {std::pair<std::string, std::string>{"t.parquet", flat},
                                   {"t.parquet", nested},
                                   {"t.jsonl", nested}}) {
    const auto file = table(kind, "SELECT * FROM (VALUES " + rows + ") t(x, y)");
    const auto data = read(image, of(file, "y"));
    EXPECT_EQ(values(data), (Numbers{1, 2, 3, 4, 5, 6, 7, 8})) << kind;
    ASSERT_EQ(data.batches().size(), 1U);
    EXPECT_EQ(data.batches()[0].inputs[0].shape, (Shape{2, 1, 2, 2}));
    EXPECT_EQ(data.labels(), (Strings{"a", "b"}));
  }
}

TEST_F(ReadDataset, ListsOfOneLengthGoTogether) {
  const auto file =
      table("t.parquet", "SELECT * FROM (VALUES ([1.0, 2]), ([3.0, 4]), ([5.0]), ([6.0, 7])) t(x)");
  const auto data = read(signature({input("x", {-1, -1, 1})}), of(file));
  EXPECT_EQ(data.rows(), 4U);
  ASSERT_EQ(data.batches().size(), 3U);
  EXPECT_EQ(data.batches()[0].inputs[0].shape, (Shape{2, 2, 1}));
  EXPECT_EQ(data.batches()[1].inputs[0].shape, (Shape{1, 1, 1}));
  EXPECT_EQ(data.batches()[2].first, 3U);
}

TEST_F(ReadDataset, TextsAndSeveralInputs) {
  const auto file = table("t.csv", "SELECT * FROM (VALUES (1, 'Köln'), (2, 'x')) t(n, city)");
  const auto data =
      read(signature({input("city", {-1, 1}, DType::kString), input("n", {-1, 1}, DType::kInt64)}),
           of(file));
  ASSERT_EQ(data.batches().size(), 1U);
  EXPECT_EQ(data.batches()[0].inputs[0].strings[0], "Köln");
  EXPECT_EQ(values(data, 1), (Numbers{1, 2}));
}

TEST_F(ReadDataset, AFixedBatchOfOneGetsRowsOneByOne) {
  const auto file = table("t.parquet", "SELECT i AS age, i * 2 AS income FROM range(3) r(i)");
  const auto data = read(signature({input("x", {1, 2})}, {"age", "income"}), of(file));
  EXPECT_EQ(data.rows(), 3U);
  ASSERT_EQ(data.batches().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(data.batches()[i].rows, 1U);
    EXPECT_EQ(data.batches()[i].first, i);
    EXPECT_EQ(data.batches()[i].inputs[0].shape, (Shape{1, 2}));
  }
}

TEST_F(ReadDataset, BatchesAndTheMostRows) {
  for (const auto& kind : kinds_) {
    const auto file = table(kind, "SELECT i AS age, 0 AS income FROM range(5000) r(i)");
    auto options = of(file);
    options.most_rows = 3000;
    options.batch = 1024;
    const auto data = read(named_, options);
    EXPECT_EQ(data.rows(), 3000U) << kind;
    ASSERT_EQ(data.batches().size(), 3U);
    EXPECT_EQ(data.batches()[2].rows, 952U);
    EXPECT_EQ(data.batches()[2].first, 2048U);
    EXPECT_EQ(values(data)[2 * 2999], 2999) << kind;
    ASSERT_EQ(data.notes().size(), 1U) << kind;
    EXPECT_TRUE(data.notes()[0].ends_with(" the first 3000 were used")) << data.notes()[0];
    options.most_rows = 5000;
    EXPECT_TRUE(read(named_, options).notes().empty()) << kind;
  }
}

TEST_F(ReadDataset, SaysWhichColumnsAreNotThere) {
  const auto file = table("t.parquet", "SELECT 1 AS agee, 2 AS income");
  EXPECT_EQ(fault(named_, of(file)), "missing_feature");
  EXPECT_EQ(fault(nameless_, of(table("u.parquet", "SELECT 1 AS a, 2 AS b, 3 AS c"))),
            "wrong_columns");
  EXPECT_EQ(fault(named_, of((root_ / "none.csv").string())), "no_table");
  EXPECT_EQ(fault(named_, of(put("t.xlsx", "x").string())), "bad_table");
  EXPECT_EQ(fault(named_, of(table("v.csv", "SELECT 1 AS age, 2 AS income LIMIT 0"))),
            "empty_table");
}

TEST_F(ReadDataset, RowsOutliveWhatTheyWereReadFrom) {
  Dataset data;
  {
    const auto file = table("t.parquet", "SELECT i AS age, i AS income FROM range(600) r(i)");
    data = read(named_, of(file));
    std::filesystem::remove(file);
  }
  const auto got = values(data);
  ASSERT_EQ(got.size(), 1200U);
  EXPECT_EQ(got.front(), 0);
  EXPECT_EQ(got.back(), 599);
}

}  // namespace
}  // namespace sluice::tools::compress
