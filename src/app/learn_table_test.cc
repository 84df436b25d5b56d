#include "app/learn_table.h"

#include "clients/testing/tables.h"

namespace sluice::app {
namespace {

Signature table_of(std::vector<std::string> columns, std::int64_t width) {
  Signature out;
  out.inputs.push_back({"x", DType::kFloat32, {-1, width}, {}});
  out.columns = std::move(columns);
  return out;
}

class LearnTable : public clients::Tables {
 protected:
  std::string csv(std::string_view text) const { return put("train.csv", text).string(); }

  static LearnedTable read(const Signature& signature, const std::string& file,
                           const std::string& label = "") {
    auto out = read_training(signature, file, label);
    if (!out) throw std::runtime_error(out.error().message);
    return *std::move(out);
  }
  // The error's reason and message.
  static std::string fault(const Signature& signature, const std::string& file,
                           const std::string& label = "") {
    const auto out = read_training(signature, file, label);
    return out ? "none" : std::string(out.error().reason) + ": " + out.error().message;
  }
};

TEST_F(LearnTable, ByNameWhateverTheOrder) {
  const auto file = csv("y,b,a\n1,10,2\n0,20,4\n1,30,6\n");
  const auto table = read(table_of({"a", "b"}, 2), file);
  EXPECT_EQ(table.rows, 3U);
  EXPECT_EQ(table.sampled, 3U);
  EXPECT_FALSE(table.in_order);
  EXPECT_EQ(table.columns[0].numbers, (std::vector<double>{2, 4, 6}));
  EXPECT_EQ(table.columns[1].summary.greatest(), 30);
}

TEST_F(LearnTable, InOrderWhereTheModelHasNoNames) {
  const auto file = csv("b,y,a\n10,1,2\n20,0,4\n");
  const auto table = read(table_of({}, 2), file, "y");
  EXPECT_TRUE(table.in_order);
  EXPECT_EQ(table.columns[0].name, "b");
  EXPECT_EQ(table.columns[1].name, "a");
  EXPECT_EQ(read(table_of({}, -1), file, "y").columns.size(), 2U);
  // Names that are all other ones stay the model's.
  const auto other = read(table_of({"p", "q"}, 2), file, "y");
  EXPECT_EQ(other.columns[1].name, "q");
  EXPECT_EQ(other.columns[1].in_table, "a");
}

TEST_F(LearnTable, MissingAndInfiniteValues) {
  const auto file = csv("a,b\n1.5,nan\n,inf\n2.5,3\nnan,-inf\n");
  const auto table = read(table_of({"a", "b"}, 2), file);
  EXPECT_EQ(table.columns[0].summary.missing(), 2U);
  EXPECT_EQ(table.columns[0].summary.finite(), 2U);
  EXPECT_EQ(table.columns[1].summary.infinite(), 2U);
  EXPECT_EQ(table.columns[1].summary.missing(), 1U);
}

TEST_F(LearnTable, WrongColumns) {
  const auto file = csv("a,b,city\n1,2,Rome\n");
  EXPECT_NE(fault(table_of({"a", "bb"}, 2), file)
                .find("unknown_column: the table has no column 'bb'; did you mean 'b'?"),
            std::string::npos)
      << fault(table_of({"a", "bb"}, 2), file);
  EXPECT_NE(fault(table_of({}, 2), file)
                .find("wrong_columns: the table has 3 columns, and the model takes 2"),
            std::string::npos);
  EXPECT_NE(fault(table_of({}, 2), file).find("--label"), std::string::npos);
  EXPECT_NE(fault(table_of({}, 3), file).find("wrong_type: column 'city' of the table is VARCHAR"),
            std::string::npos);
  EXPECT_NE(fault(table_of({}, 2), file, "citty").find("did you mean 'city'?"), std::string::npos);
  EXPECT_EQ(fault(table_of({}, 2), file, "city"), "none");
  EXPECT_TRUE(fault(table_of({"a", "b"}, 2), csv("a,b\n")).starts_with("empty_table"))
      << fault(table_of({"a", "b"}, 2), csv("a,b\n"));
  EXPECT_TRUE(fault(table_of({"a"}, 1), (root_ / "none.csv").string()).starts_with("no_table"));
}

TEST_F(LearnTable, SeveralInputsAndText) {
  Signature signature;
  signature.inputs.push_back({"age", DType::kInt64, {-1, 1}, {}});
  signature.inputs.push_back({"city", DType::kString, {-1, 1}, {}});
  const auto table = read(signature, csv("city,age\nRome,3\n,4\n007,5\n"));
  EXPECT_EQ(table.columns[0].numbers, (std::vector<double>{3, 4, 5}));
  EXPECT_EQ(table.columns[1].texts, (std::vector<std::string>{"Rome", "", "007"}));
  signature.inputs.push_back({"image", DType::kFloat32, {-1, 3, 8, 8}, {}});
  EXPECT_TRUE(
      fault(signature, csv("city,age\nRome,3\n")).starts_with("not_learnable: input 'image'"));
}

// 30,000 rows in rising order, of which the sample has a fair part.
TEST_F(LearnTable, ALargeParquetFileIsSampled) {
  const auto file = root_ / "train.parquet";
  auto writer = engine().write(file, {{"a", clients::CellType::kReal}});
  ASSERT_TRUE(writer);
  constexpr int kRows = 30'000;
  for (int i = 0; i < kRows; ++i) ASSERT_TRUE(writer->real(i).end_row());
  ASSERT_TRUE(writer->finish());
  const auto table = read(table_of({"a"}, 1), file.string());
  EXPECT_EQ(table.rows, 30'000U);
  EXPECT_EQ(table.sampled, 10'000U);
  const auto& column = table.columns[0];
  EXPECT_EQ(column.summary.least(), 0);
  EXPECT_EQ(column.summary.greatest(), kRows - 1);
  EXPECT_DOUBLE_EQ(column.summary.mean(), (kRows - 1) / 2.0);
  ASSERT_EQ(column.numbers.size(), 10'000U);
  const auto quantiles = statistics::evenly_spaced_quantiles(column.numbers, 5);
  for (int i = 0; i < 5; ++i) {
    // Six standard errors of a quantile of 10,000.
    EXPECT_NEAR(quantiles[static_cast<std::size_t>(i)], i * kRows / 4.0, 6 * 0.005 * kRows);
  }
  EXPECT_EQ(read(table_of({"a"}, 1), file.string()).columns[0].numbers, column.numbers);
}

}  // namespace
}  // namespace sluice::app
