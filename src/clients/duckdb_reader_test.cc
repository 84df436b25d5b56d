// Tables are read as they are, and what is no table is told in words that show no path.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <numeric>

#include "base/log.h"
#include "clients/testing/tables.h"

namespace sluice::clients {
namespace {

namespace fs = std::filesystem;

using TableReading = Tables;
using Cells = std::vector<std::vector<std::string>>;

std::string numbers_csv(int rows, const std::string& last = "") {
  std::string out = "a,b\n";
  for (int row = 0; row < rows; ++row) out += std::to_string(row) + ",x\n";
  return out + last;
}

// A file of `rows` rows: their numbers, and texts of them that are too long to lie in a cell.
void write_rows(const Duckdb& duckdb, const fs::path& file, std::int64_t rows) {
  auto writer = duckdb.write(file, {{"n", CellType::kInteger}, {"t", CellType::kText}});
  ASSERT_TRUE(writer) << writer.error().message;
  for (std::int64_t row = 0; row < rows; ++row) {
    writer->integer(row).text("row number " + std::to_string(row));
    ASSERT_TRUE(writer->end_row());
  }
  ASSERT_TRUE(writer->finish());
}

// ---- CSV ---------------------------------------------------------------------------------------

// As Python's csv module writes it: lines end with \r\n, quotes only where they are needed.
TEST_F(TableReading, CsvOfPython) {
  const auto file = put("x.csv",
                        "flag,n,x,text,date,\"a,\"\"b\"\"\"\r\n"
                        "True,1,1.5,plain,2024-01-02,\r\n"
                        "False,-2,nan,\"with \"\"quotes\"\", commas\",2024-01-03,\r\n"
                        ",3,inf,\"two\r\nlines\",,\r\n"
                        "True,,-inf,größe,2024-01-05,\r\n"
                        "True,9007199254740992,1e-300,,2024-01-06,\r\n");
  auto reader = engine().read(file);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(names(*reader), "#flag #n #x text date a,\"b\"");
  EXPECT_EQ(reader->rows(), std::nullopt);
  EXPECT_EQ(cells(*reader),
            (Cells{{"1", "1", "1.5", "'plain'", "'2024-01-02'", "-"},
                   {"0", "-2", "nan", "'with \"quotes\", commas'", "'2024-01-03'", "-"},
                   {"-", "3", "inf", "'two\r\nlines'", "-", "-"},
                   {"1", "-", "-inf", "'größe'", "'2024-01-05'", "-"},
                   {"1", "9007199254740992", "1e-300", "-", "'2024-01-06'", "-"}}));
}

TEST_F(TableReading, AColumnIsReadAsItIsWanted) {
  const auto file = put("x.csv", "answer,digits\nyes,12\nno,070\n");
  const WantedColumn wanted[] = {{"answer", ColumnKind::kText},
                                 {"answer", {}},
                                 {"digits", ColumnKind::kText},
                                 {"digits", ColumnKind::kNumber}};
  auto reader = engine().read(file, wanted);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(names(*reader), "answer #answer digits #digits");
  EXPECT_EQ(cells(*reader), (Cells{{"'yes'", "1", "'12'", "12"}, {"'no'", "0", "'070'", "70"}}));
  const auto json = put("x.jsonl", "{\"a\": 1.5, \"b\": \"2\"}\n");
  auto other = engine().read(
      json, std::vector<WantedColumn>{{"a", ColumnKind::kText}, {"b", ColumnKind::kNumber}});
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(cells(*other), (Cells{{"'1.5'", "2"}}));
  put("x.csv", "a\nx\n");
  EXPECT_EQ(fault(file, {{"a", ColumnKind::kNumber}}).message,
            "'x.csv' cannot be read as CSV, line 2, column 'a': what is there is not a number; "
            "correct it, or read the column as text");
}

TEST_F(TableReading, NothingOfACsvFileIsGuessed) {
  auto semicolons = engine().read(put("1.csv", "a;b\n1;2\n")).value();
  EXPECT_EQ(names(semicolons), "a;b");
  auto comment = engine().read(put("2.csv", "#a,b\n#1,2\n")).value();
  EXPECT_EQ(names(comment), "#a #b");
  EXPECT_EQ(cells(comment), (Cells{{"'#1'", "2"}}));
  auto headers = engine().read(put("3.csv", "a,b\nc,d\n")).value();
  EXPECT_EQ(cells(headers), (Cells{{"'c'", "'d'"}}));
  auto mark = engine()
                  .read(put("4.csv",
                            "\xef\xbb\xbf"
                            "a,b\n1,2"))
                  .value();
  EXPECT_EQ(names(mark), "#a #b");
  EXPECT_TRUE(cells(engine().read(put("5.csv", "a,b\n")).value()).empty());
}

TEST_F(TableReading, BadCsvIsToldWithItsLine) {
  const auto message = [&](std::string_view bytes) {
    const auto error = fault(put("x.csv", bytes));
    return std::string(error.reason) + ": " + error.message;
  };
  EXPECT_EQ(message(""), "bad_table: 'x.csv' is empty; expected a table");
  EXPECT_EQ(
      message(numbers_csv(30'000, "abc,x\n")),
      "bad_table: 'x.csv' cannot be read as CSV, line 30002, column 'a': what is there is not "
      "a number; correct it, or read the column as text");
  const std::string fields =
      ": expected as many fields in every line as names in the first, commas between them, and "
      "quotes (\") that are closed";
  EXPECT_EQ(message(numbers_csv(30'000, "1\n")),
            "bad_table: 'x.csv' cannot be read as CSV, line 30002" + fields);
  EXPECT_EQ(message(numbers_csv(30'000, "1,2,3\n")),
            "bad_table: 'x.csv' cannot be read as CSV, line 30002" + fields);
  EXPECT_EQ(message("a,b\n1,2\n3\n"), "bad_table: 'x.csv' cannot be read as CSV" + fields);
  EXPECT_EQ(message("a,b\n1,\"2\n3,4\n"), "bad_table: 'x.csv' cannot be read as CSV" + fields);
  EXPECT_EQ(message("a,b\n1,\xe9\n"),
            "bad_table: 'x.csv' cannot be read as CSV, line 2: its text is not UTF-8; write it "
            "again in UTF-8");
  std::string all_bytes(5120, ' ');
  std::iota(all_bytes.begin(), all_bytes.end(), '\0');
  EXPECT_TRUE(message(all_bytes).starts_with("bad_table: 'x.csv' cannot be read as CSV"));
}

// ---- JSON lines --------------------------------------------------------------------------------

TEST_F(TableReading, JsonLines) {
  const auto file =
      put("x.jsonl", R"({"b": true, "n": 1, "x": 1.5, "t": "ü \"q\" \u00e9", "l": [1, 2]})"
                     "\n"
                     R"({"b": false, "n": 2.5, "x": NaN, "d": "2024-01-02T00:00:00Z"})"
                     "\n\n"
                     R"({"x": -Infinity, "mixed": "a", "l": {"k": null}, "it's": 7})"
                     "\n"
                     R"({"n": null, "mixed": 1})");
  auto reader = engine().read(file);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(names(*reader), "#b #n #x t l d mixed #it's");
  EXPECT_EQ(cells(*reader),
            (Cells{{"1", "1", "1.5", "'ü \"q\" é'", "'[1,2]'", "-", "-", "-"},
                   {"0", "2.5", "nan", "-", "-", "'2024-01-02T00:00:00Z'", "-", "-"},
                   {"-", "-", "-inf", "-", "'{\"k\":null}'", "-", "'a'", "7"},
                   {"-", "-", "-", "-", "-", "-", "'1'", "-"}}));
}

// What a column is depends on all lines, not on the first ones.
TEST_F(TableReading, JsonLinesAreAllLookedAt) {
  std::string lines;
  for (int row = 0; row < 50'000; ++row) lines += "{\"a\": 1}\n";
  auto reader = engine().read(put("x.ndjson", lines + "{\"a\": 0.5, \"late\": \"x\"}\n")).value();
  EXPECT_EQ(names(reader), "#a late");
  const auto rows = cells(reader);
  ASSERT_EQ(rows.size(), 50'001u);
  EXPECT_EQ(rows.back(), (std::vector<std::string>{"0.5", "'x'"}));
}

TEST_F(TableReading, BadJsonIsToldWithItsLine) {
  const auto line = [&](const std::string& third) {
    const auto error = fault(put("x.jsonl", "{\"a\": 1}\n{\"a\": 2}\n" + third + "\n{\"a\": 4}\n"));
    EXPECT_EQ(error.reason, "bad_table") << third;
    const std::string start = "'x.jsonl' cannot be read as JSON lines, line 3: ";
    EXPECT_TRUE(error.message.starts_with(start)) << third << ": " << error.message;
    return error.message.substr(std::min(start.size(), error.message.size()));
  };
  const std::string object = "expected an object in JSON, {\"name\": value, ...}, in every line";
  for (const std::string bad : {"nonsense", "{\"a\":", "{\"a\": 3} {}", "{'a': 3}", "[3]", "3",
                                "null x", "{\"a\": 3,, }", "\"a\""}) {
    EXPECT_EQ(line(bad), object) << bad;
  }
  EXPECT_EQ(line("{\"a\": \"\xff\"}"), "its text is not UTF-8; write it again in UTF-8");
  EXPECT_EQ(line("{\"a\": 3, \"a\": 4}"), "an object has the same key twice; leave one of them");
  for (const std::string bad : {"\n\n", "{}\n{}\n", "[1]\n"}) {
    EXPECT_EQ(fault(put("x.jsonl", bad)).reason, "bad_table") << bad;
  }
}

// ---- Parquet -----------------------------------------------------------------------------------

TEST_F(TableReading, AMillionRowsInOrderWithLittleMemory) {
  const auto file = root_ / "x.parquet";
  write_rows(engine({.memory = std::uint64_t{1} << 30, .threads = 1}), file, 1'000'000);
  for (const unsigned threads : {1u, 3u}) {
    // The doubles and texts of the whole table are 40 MB.
    auto reader = engine({.memory = std::uint64_t{20} << 20, .threads = threads}).read(file);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ(reader->rows(), 1'000'000u);
    std::size_t rows = 0;
    std::size_t largest = 0;
    std::size_t wrong = 0;
    while (true) {
      const auto chunk = reader->next();
      ASSERT_TRUE(chunk) << chunk.error().message;
      if (!*chunk) break;
      largest = std::max(largest, (*chunk)->rows());
      for (std::size_t row = 0; row < (*chunk)->rows(); ++row, ++rows) {
        wrong += (*chunk)->numbers(0)[row] != static_cast<double>(rows);
        wrong += (*chunk)->text(1, row) != "row number " + std::to_string(rows);
      }
    }
    EXPECT_EQ(rows, 1'000'000u);
    EXPECT_EQ(largest, 2048u);
    EXPECT_EQ(wrong, 0u);
  }
}

TEST_F(TableReading, AChunkOutlivesTheReader) {
  std::optional<TableChunk> chunk;
  {
    const auto duckdb = engine();
    write_rows(duckdb, root_ / "x.parquet", 5000);
    auto reader = duckdb.read(root_ / "x.parquet").value();
    chunk = *reader.next();
    ASSERT_TRUE(reader.next());
  }
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->text(1, 2047), "row number 2047");
  EXPECT_EQ(chunk->numbers(0)[2047], 2047);
}

TEST_F(TableReading, BadParquetIsTold) {
  const auto duckdb = engine();
  write_rows(duckdb, root_ / "good.parquet", 10'000);
  const auto good = bytes_of(root_ / "good.parquet");
  const auto message = [&](std::string_view bytes) {
    const auto error = fault(put("x.parquet", bytes));
    return std::string(error.reason) + ": " + error.message;
  };
  const std::string cut =
      "bad_table: 'x.parquet' is cut off: a Parquet file has its columns at its end, and that is "
      "missing; copy it again when it has been written to its end";
  EXPECT_EQ(message(""), "bad_table: 'x.parquet' is empty; expected a table");
  EXPECT_EQ(message("a,b\n1,2\n"),
            "bad_table: 'x.parquet' is not a Parquet file; check that it is "
            "what its ending says");
  EXPECT_EQ(message("PAR1"), cut);
  EXPECT_EQ(message("PAR1PAR1"), cut);
  for (const std::size_t size : {good.size() / 2, good.size() - 1, good.size() - 8}) {
    EXPECT_EQ(message(good.substr(0, size)), cut);
  }
  const std::string damaged =
      "bad_table: 'x.parquet' cannot be read as Parquet: what is in it is damaged; copy it again, "
      "or "
      "write it again";
  // The footer is there, what it points to is not.
  EXPECT_EQ(message("PAR1" + good.substr(good.size() / 2)), damaged);
  EXPECT_EQ(message("PAR1" + std::string(100, '\xff') + "PAR1"), damaged);
  auto pages = good;
  std::fill(pages.begin() + 4, pages.begin() + static_cast<long>(good.size() / 2), '\x55');
  EXPECT_EQ(message(pages), damaged);
  EXPECT_EQ(message(good), ": no fault");
}

// Wherever a byte is wrong, there is a table or an error, and the engine goes on.
TEST_F(TableReading, DamageAnywhereIsAnErrorOrATable) {
  const auto duckdb = engine();
  write_rows(duckdb, root_ / "good.parquet", 300);
  const auto good = bytes_of(root_ / "good.parquet");
  std::size_t errors = 0;
  for (std::size_t at = 4; at + 4 < good.size(); at += 3) {
    auto bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x41);
    auto reader = duckdb.read(put("x.parquet", bad));
    if (!reader) {
      ++errors;
      EXPECT_EQ(reader.error().reason, "bad_table") << at << ": " << reader.error().message;
      continue;
    }
    auto chunk = reader->next();
    while (chunk && *chunk) chunk = reader->next();
    if (!chunk) ++errors;
  }
  EXPECT_GT(errors, good.size() / 30);
  EXPECT_EQ(cells(duckdb.read(root_ / "good.parquet").value()).size(), 300u);
}

// ---- several files, and names ------------------------------------------------------------------

TEST_F(TableReading, FilesOfAPatternFollowEachOther) {
  const auto duckdb = engine();
  for (const int part : {10, 2, 1}) {
    write_rows(duckdb, root_ / ("part-" + std::to_string(part) + ".parquet"),
               part * std::int64_t{1000});
  }
  put("other.parquet", "not of the pattern");
  auto reader = duckdb.read(root_ / "part-*.parquet").value();
  EXPECT_EQ(reader.rows(), 13'000u);
  const auto rows = cells(reader);
  ASSERT_EQ(rows.size(), 13'000u);
  EXPECT_EQ(rows[999][0], "999");
  EXPECT_EQ(rows[1000][0], "0");
  EXPECT_EQ(rows[2999][0], "1999");
  EXPECT_EQ(rows[12'999][0], "9999");
  EXPECT_EQ(cells(duckdb.read(root_ / "part-?.parquet").value()).size(), 3000u);
}

TEST_F(TableReading, LaterFilesAreReadAsTheFirst) {
  put("1.csv", "a,b\n1,x\n");
  put("2.csv", "extra,b,a\n9,2,0.5\n");
  EXPECT_EQ(cells(engine().read(root_ / "?.csv").value()), (Cells{{"1", "'x'"}, {"0.5", "'2'"}}));
  put("3.csv", "a,c\n1,2\n");
  const auto missing = fault(root_ / "?.csv");
  EXPECT_EQ(missing.reason, "unknown_column");
  EXPECT_EQ(missing.message, "'3.csv' has no column 'b'; it has 'a' and 'c'");
  put("3.csv", "a,b\nabc,2\n");
  EXPECT_EQ(fault(root_ / "?.csv").message,
            "'3.csv' cannot be read as CSV, line 2, column 'a': what is there is not a number; "
            "correct it, or read the column as text");
  put("1.jsonl", "{\"a\": 1, \"b\": \"x\"}\n");
  put("2.jsonl", "{\"b\": \"y\", \"c\": 1}\n");
  EXPECT_EQ(cells(engine().read(root_ / "?.jsonl").value()), (Cells{{"1", "'x'"}, {"-", "'y'"}}));
}

TEST_F(TableReading, AColumnThatIsNotThereIsNamedWithThoseThatAre) {
  const auto file = put("x.csv", "age,income,zip code\n1,2,3\n");
  const WantedColumn right[] = {{"zip code", {}}, {"age", {}}};
  auto reader = engine().read(file, right).value();
  EXPECT_EQ(names(reader), "#zip code #age");
  EXPECT_EQ(cells(reader), (Cells{{"3", "1"}}));
  const auto error = fault(file, {{"age", {}}, {"incom", {}}});
  EXPECT_EQ(error.reason, "unknown_column");
  EXPECT_EQ(error.message,
            "'x.csv' has no column 'incom'; did you mean 'income'?; it has 'age', "
            "'income' and 'zip code'");
  EXPECT_EQ(fault(file, {{"AGE", {}}}).reason, "unknown_column") << "upper case is another name";
  EXPECT_EQ(fault(file, {{"a\" FROM x; --", {}}}).reason, "unknown_column");
}

TEST_F(TableReading, AListIsNotANumber) {
  const auto duckdb = engine();
  auto writer = duckdb.write(root_ / "x.parquet", {{"l", CellType::kFloats}}).value();
  ASSERT_TRUE(writer.floats({}).end_row());
  ASSERT_TRUE(writer.finish());
  const auto error = fault(root_ / "x.parquet", {{"l", ColumnKind::kNumber}});
  EXPECT_EQ(error.reason, "bad_column");
  EXPECT_EQ(error.message,
            "column 'l' of 'x.parquet' is a FLOAT[] and cannot be read as numbers; "
            "read it as text, or leave it out");
}

TEST_F(TableReading, WhatIsNoFileIsTold) {
  const auto gone = fault(root_ / "gone.csv");
  EXPECT_EQ(gone.code, Code::kNotFound);
  EXPECT_EQ(gone.message, "there is no file 'gone.csv'; check its name and its directory");
  EXPECT_EQ(fault(root_ / "no-*.csv").code, Code::kNotFound);
  EXPECT_EQ(fault(put("x.txt", "a\n")).message,
            "'x.txt' does not say what kind of table it is: its name should end with .parquet, "
            ".csv, .jsonl or .ndjson");
  fs::create_directory(root_ / "d.csv");
  EXPECT_EQ(fault(root_ / "d.csv").reason, "bad_table");
  ASSERT_EQ(::mkfifo((root_ / "fifo.csv").c_str(), 0600), 0);
  EXPECT_EQ(fault(root_ / "fifo.csv").reason, "bad_table") << "waits for a writer";
}

TEST_F(TableReading, NothingButTheFilesThatAreReadCanBeOpened) {
  // A file that names another one is only bytes.
  const auto other = put("other.csv", "secret\n1\n");
  const auto file = put("x.csv", "a\n\"'); SELECT * FROM '" + other.string() + "'\"\n");
  const auto rows = cells(engine().read(file).value());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_NE(rows[0][0].find("SELECT"), std::string::npos);
}

TEST_F(TableReading, ReadersOfOneEngineDoNotDisturbEachOther) {
  const auto duckdb = engine();
  auto one = duckdb.read(put("1.csv", numbers_csv(5000))).value();
  auto two = duckdb.read(put("2.csv", numbers_csv(6000))).value();
  std::size_t rows[] = {0, 0};
  for (bool more = true; more;) {
    more = false;
    for (auto* const reader : {&one, &two}) {
      const auto chunk = reader->next();
      ASSERT_TRUE(chunk) << chunk.error().message;
      if (!*chunk) continue;
      more = true;
      rows[reader == &two] += (*chunk)->rows();
    }
  }
  EXPECT_EQ(rows[0], 5000u);
  EXPECT_EQ(rows[1], 6000u);
}

}  // namespace
}  // namespace sluice::clients
