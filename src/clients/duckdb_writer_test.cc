// What is written is what is read; a file is there whole or not at all.
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>

#include "clients/testing/tables.h"

namespace sluice::clients {
namespace {

namespace fs = std::filesystem;

using TableWriting = Tables;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), {}));
}

TEST_F(TableWriting, EveryTypeIsReadAsItWasWritten) {
  const auto file = root_ / "all.parquet";
  const auto duckdb = engine();
  auto writer = duckdb.write(file, {{"truth", CellType::kTruth},
                                    {"integer", CellType::kInteger},
                                    {"real", CellType::kReal},
                                    {"text", CellType::kText},
                                    {"time", CellType::kTime},
                                    {"floats", CellType::kFloats},
                                    {"reals", CellType::kReals}});
  ASSERT_TRUE(writer) << writer.error().message;
  const float floats[] = {1.5f, 0.1f, -std::numeric_limits<float>::infinity()};
  const double reals[] = {0.1, kNaN};
  const TableWriter::Time time{std::chrono::microseconds(1'700'000'000'123'456)};
  writer->truth(true).integer(-5).real(0.1).text("a \"long\" text, longer than twelve bytes ü");
  ASSERT_TRUE(writer->time(time).floats(floats).reals(reals).end_row());
  for (int cell = 0; cell < 7; ++cell) writer->null();
  ASSERT_TRUE(writer->end_row());
  writer->truth(false).integer(std::numeric_limits<std::int64_t>::min()).real(kNaN).text("");
  ASSERT_TRUE(writer->time({}).floats({}).reals({}).end_row());
  writer->truth(false).integer(1).real(-kInf).text(std::string_view("z\0z", 3));
  ASSERT_TRUE(writer->time({}).floats({floats, 1}).reals({reals, 1}).end_row());
  EXPECT_EQ(writer->rows(), 4u);
  ASSERT_TRUE(writer->finish());

  auto reader = duckdb.read(file);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(reader->rows(), 4u);
  EXPECT_EQ(names(*reader), "#truth #integer #real text time floats reals");
  std::string stored;
  for (const auto& column : reader->columns()) stored += column.stored + " ";
  EXPECT_EQ(stored, "BOOLEAN BIGINT DOUBLE VARCHAR TIMESTAMP FLOAT[] DOUBLE[] ");
  const std::vector<std::vector<std::string>> expected = {
      {"1", "-5", "0.10000000000000001", "'a \"long\" text, longer than twelve bytes ü'",
       "'2023-11-14 22:13:20.123456'", "'[1.5, 0.1, -inf]'", "'[0.1, nan]'"},
      {"-", "-", "-", "-", "-", "-", "-"},
      {"0", "-9.2233720368547758e+18", "nan", "''", "'1970-01-01 00:00:00'", "'[]'", "'[]'"},
      {"0", "1", "-inf", std::string("'z\0z'", 5), "'1970-01-01 00:00:00'", "'[1.5]'", "'[0.1]'"}};
  EXPECT_EQ(cells(*reader), expected);
}

TEST_F(TableWriting, NamesMayHaveAnythingInThem) {
  const std::string names[] = {"a'b", "a\"b", "a; DROP TABLE rows", "größe", "a\nb", " ", "select"};
  std::vector<NewColumn> columns;
  for (const auto& name : names) columns.push_back({name, CellType::kInteger});
  for (const std::string file : {"it's.parquet", "a\"b.parquet", "dé jà vu.parquet",
                                 "a[1]*?.parquet", "'); DROP TABLE rows; --.parquet"}) {
    const auto duckdb = engine();
    auto writer = duckdb.write(root_ / file, columns);
    ASSERT_TRUE(writer) << writer.error().message;
    for (int cell = 0; cell < 7; ++cell) writer->integer(cell);
    ASSERT_TRUE(writer->end_row());
    ASSERT_TRUE(writer->finish()) << file;
    auto reader = duckdb.read(root_ / file);
    ASSERT_TRUE(reader) << reader.error().message;
    for (std::size_t index = 0; index < columns.size(); ++index) {
      EXPECT_EQ(reader->columns()[index].name, names[index]) << file;
    }
    EXPECT_EQ(cells(*reader),
              (std::vector<std::vector<std::string>>{{"0", "1", "2", "3", "4", "5", "6"}}));
  }
  EXPECT_EQ(files_in(root_), 5u);
}

TEST_F(TableWriting, AppearsOnlyWhenItIsFinished) {
  const auto file = put("x.parquet", "what was there");
  const auto duckdb = engine();
  {
    auto writer = duckdb.write(file, {{"a", CellType::kInteger}});
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->integer(1).end_row());
    EXPECT_EQ(bytes_of(file), "what was there");
  }
  EXPECT_EQ(bytes_of(file), "what was there");
  EXPECT_EQ(files_in(root_), 1u) << "something is left over";
  auto writer = duckdb.write(file, {{"a", CellType::kInteger}});
  ASSERT_TRUE(writer->integer(1).end_row());
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(cells(duckdb.read(file).value()), (std::vector<std::vector<std::string>>{{"1"}}));
  EXPECT_EQ(files_in(root_), 1u) << "something is left over";
  EXPECT_FALSE(writer->integer(2).end_row()) << "rows after the end";
  EXPECT_FALSE(writer->finish()) << "written twice";
}

TEST_F(TableWriting, ATableWithoutRowsIsATable) {
  const auto duckdb = engine();
  auto writer = duckdb.write(root_ / "x.parquet", {{"a", CellType::kFloats}});
  ASSERT_TRUE(writer->finish());
  auto reader = duckdb.read(root_ / "x.parquet");
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(reader->rows(), 0u);
  EXPECT_TRUE(cells(*reader).empty());
}

TEST_F(TableWriting, ARowThatDoesNotFitIsLeftOut) {
  const auto duckdb = engine();
  auto writer =
      duckdb.write(root_ / "x.parquet",
                   {{"a", CellType::kInteger}, {"b", CellType::kText}, {"c", CellType::kReals}});
  const double one[] = {1};
  EXPECT_EQ(writer->null().text("\xff").reals(one).end_row().error().reason, "bad_cell");
  EXPECT_EQ(writer->real(1).text("b").reals(one).end_row().error().code, Code::kInternal);
  EXPECT_EQ(writer->integer(1).null().end_row().error().code, Code::kInternal) << "too few";
  EXPECT_EQ(writer->integer(1).text("b").reals(one).null().end_row().error().code, Code::kInternal);
  EXPECT_EQ(writer->rows(), 0u);
  ASSERT_TRUE(writer->integer(7).text("kept").reals(one).end_row());
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(cells(duckdb.read(root_ / "x.parquet").value()),
            (std::vector<std::vector<std::string>>{{"7", "'kept'", "'[1.0]'"}}));
}

TEST_F(TableWriting, ColumnsThatCannotBeAreRefused) {
  const auto duckdb = engine();
  const auto reason = [&](std::vector<NewColumn> columns) {
    const auto writer = duckdb.write(root_ / "x.parquet", std::move(columns));
    return writer ? "none" : std::string(writer.error().reason);
  };
  EXPECT_EQ(reason({}), "bad_column");
  EXPECT_EQ(reason({{"", CellType::kReal}}), "bad_column");
  EXPECT_EQ(reason({{"\xff", CellType::kReal}}), "bad_column");
  EXPECT_EQ(reason({{std::string("a\0b", 3), CellType::kReal}}), "bad_column");
  EXPECT_EQ(reason({{"a", CellType::kReal}, {"A", CellType::kReal}}), "bad_column");
  EXPECT_EQ(reason({{"ä", CellType::kReal}, {"Ä", CellType::kReal}}), "none");
}

TEST_F(TableWriting, APlaceThatCannotBeWrittenIsToldAtOnceAndWithoutItsPath) {
  const auto writer = engine().write(root_ / "missing" / "x.parquet", {{"a", CellType::kReal}});
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().reason, "unwritable");
  EXPECT_EQ(writer.error().message,
            "'x.parquet' cannot be written: No such file or directory; check its directory and who "
            "may write there");
  fs::create_directories(root_ / "d.parquet");
  auto over = engine().write(root_ / "d.parquet", {{"a", CellType::kReal}});
  ASSERT_TRUE(over);
  EXPECT_EQ(over->finish().error().reason, "unwritable") << "a directory has the name";
  EXPECT_TRUE(fs::is_directory(root_ / "d.parquet"));
}

TEST_F(TableWriting, MoreThanTheMemoryIsAnError) {
  const auto duckdb = engine({.memory = std::uint64_t{24} << 20, .threads = 1});
  auto writer = duckdb.write(root_ / "x.parquet", {{"a", CellType::kReals}});
  ASSERT_TRUE(writer) << writer.error().message;
  const std::vector<double> list(100, 0.1);
  std::string reason;
  // 80 MB.
  for (int row = 0; row < 100'000 && reason.empty(); ++row) {
    if (auto done = writer->reals(list).end_row(); !done) reason = done.error().reason;
  }
  EXPECT_EQ(reason, "too_large");
  EXPECT_EQ(writer->finish().error().reason, "too_large");
  EXPECT_FALSE(fs::exists(root_ / "x.parquet"));
  *writer = *duckdb.write(root_ / "x.parquet", {{"a", CellType::kReals}});
  ASSERT_TRUE(writer->reals(list).end_row());
  EXPECT_TRUE(writer->finish()) << "the memory of the lost file is still taken";
}

TEST_F(TableWriting, SeveralAtATime) {
  const auto duckdb = engine();
  auto one = duckdb.write(root_ / "1.parquet", {{"a", CellType::kInteger}});
  auto two = duckdb.write(root_ / "2.parquet", {{"b", CellType::kText}});
  ASSERT_TRUE(one && two);
  ASSERT_TRUE(one->integer(1).end_row());
  ASSERT_TRUE(two->text("2").end_row());
  ASSERT_TRUE(two->finish());
  ASSERT_TRUE(one->finish());
  EXPECT_EQ(cells(duckdb.read(root_ / "1.parquet").value())[0][0], "1");
  EXPECT_EQ(cells(duckdb.read(root_ / "2.parquet").value())[0][0], "'2'");
}

TEST_F(TableWriting, SeveralThreadsUseOneEngine) {
  const auto duckdb = engine();
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        const auto file = root_ / (std::to_string(thread) + ".parquet");
        auto writer = duckdb.write(file, {{"n", CellType::kInteger}});
        if (!writer) return;
        for (int row = 0; row < 10'000; ++row) {
          if (!writer->integer(thread).end_row()) return;
        }
        if (!writer->finish()) return;
        auto reader = duckdb.read(file);
        if (!reader) return;
        const std::vector<std::string> row = {std::to_string(thread)};
        right += cells(*reader) == std::vector(10'000, row);
      });
    }
  }
  EXPECT_EQ(right, 4);
}

}  // namespace
}  // namespace sluice::clients
