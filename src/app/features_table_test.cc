#include "app/features_table.h"

#include "clients/testing/tables.h"

namespace sluice::app {
namespace {

class FeatureTables : public clients::Tables {
 protected:
  static std::string show(const FeatureData& data) {
    if (std::holds_alternative<Null>(data)) return "null";
    if (const auto* truth = std::get_if<bool>(&data)) return *truth ? "true" : "false";
    if (const auto* integer = std::get_if<std::int64_t>(&data)) return std::to_string(*integer);
    if (const auto* text = std::get_if<std::string>(&data)) return "'" + *text + "'";
    char out[32];
    if (const auto* real = std::get_if<double>(&data)) {
      std::snprintf(out, sizeof(out), "%.4fr", *real);
      return out;
    }
    return std::to_string(std::get<std::vector<double>>(data).size()) + " numbers";
  }
  // The rows as "entity@time: values", or what is wrong with the first that is.
  static std::vector<std::string> read(const std::filesystem::path& file,
                                       const FeatureColumns& columns) {
    auto table = FeatureTable::open(file, columns);
    if (!table) return {std::string(table.error().reason) + ": " + table.error().message};
    std::vector<std::string> out;
    FeatureTable::Row row;
    while (true) {
      const auto there = table->next(row);
      if (!there) {
        out.push_back(std::string(there.error().reason) + ": " + there.error().message);
        return out;
      }
      if (!*there) return out;
      std::string line;
      for (const auto key : row.entity)
        line += std::string(line.empty() ? "" : "+") + std::string(key);
      if (row.time_ns) line += "@" + std::to_string(*row.time_ns / 1'000'000'000);
      line += ":";
      for (const auto& value : row.values) line += " " + show(value);
      out.push_back(line);
    }
  }
};

using Lines = std::vector<std::string>;

TEST_F(FeatureTables, ParquetKeepsItsTypes) {
  using clients::CellType;
  const auto file = root_ / "t.parquet";
  auto writer = engine().write(file, {{"id", CellType::kReal},
                                      {"n", CellType::kInteger},
                                      {"r", CellType::kReal},
                                      {"ok", CellType::kTruth},
                                      {"s", CellType::kText},
                                      {"v", CellType::kReals},
                                      {"at", CellType::kTime}});
  ASSERT_TRUE(writer) << writer.error().message;
  const std::vector<double> list = {1, 2, 3};
  const clients::TableWriter::Time time{std::chrono::seconds(1'795'687'200)};
  writer->real(42).integer(9'007'199'254'740'993).real(2).truth(true).text("01").reals(list);
  ASSERT_TRUE(writer->time(time).end_row());
  writer->real(42.5).null().null().null().null().null();
  ASSERT_TRUE(writer->time(time).end_row());
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(read(file, {{"id"}, "at", {}}),
            (Lines{"42@1795687200: 9007199254740993 2.0000r true '01' 3 numbers",
                   "42.5@1795687200: null null null null null"}));
}

TEST_F(FeatureTables, TextFilesAreReadAsTheyAreWritten) {
  const auto csv = put("t.csv", "id,big,zip,r,ok\n007,9007199254740993,01234,1.5,true\nx,,,2,\n");
  EXPECT_EQ(read(csv, {{"id"}, "", {}}),
            (Lines{"007: 9007199254740993 '01234' 1.5000r true", "x: null null 2 null"}));
  const auto lines = put("t.jsonl", R"({"id":1,"v":[1.5,null],"big":9007199254740993})"
                                    "\n"
                                    R"({"id":2,"v":[],"big":-1})"
                                    "\n");
  EXPECT_EQ(read(lines, {{"id"}, "", {"big", "v"}}),
            (Lines{"1: 9007199254740993 2 numbers", "2: -1 0 numbers"}));
}

TEST_F(FeatureTables, SeveralKeysAndATimeInSeconds) {
  const auto csv = put("t.csv", "a,b,at,n\n1,x,5,7\n1,y,6.5,8\n");
  EXPECT_EQ(read(csv, {{"b", "a"}, "at", {}}), (Lines{"x+1@5: 7", "y+1@6: 8"}));
}

TEST_F(FeatureTables, MistakesAreToldWithTheirRow) {
  const auto csv = put("t.csv", "id,at,n\na,5,1\n,5,1\n");
  const auto null = read(csv, {{"id"}, "", {"n"}});
  ASSERT_EQ(null.size(), 2u);
  EXPECT_TRUE(null[1].starts_with("bad_entity: 'id' in row 2 is null")) << null[1];
  const auto time = read(put("u.csv", "id,at,n\na,soon,1\n"), {{"id"}, "at", {}});
  EXPECT_TRUE(time[0].starts_with("bad_time: 'at' in row 1 ")) << time[0];
  EXPECT_TRUE(read(csv, {{"ib"}, "", {}})[0].starts_with("unknown_column: "));
  EXPECT_TRUE(read(csv, {{"id"}, "id", {}})[0].starts_with("bad_column: "));
  EXPECT_TRUE(read(csv, {{"id", "at"}, "n", {}})[0].starts_with("bad_column: "));
  EXPECT_TRUE(read(root_ / "none.csv", {{"id"}, "", {}})[0].starts_with("no_table: "));
}

// The types of a text file are told by its first rows; what comes later is still checked.
TEST_F(FeatureTables, ANumberThatIsNoneFarBehind) {
  std::string text = "id,n\n";
  for (int i = 0; i < 30'000; ++i) text += "u" + std::to_string(i) + ",1\n";
  const auto rows = read(put("t.csv", text + "z,many\n"), {{"id"}, "", {}});
  ASSERT_EQ(rows.size(), 30'001u);
  EXPECT_TRUE(rows.back().starts_with("bad_table: 'n' in row 30001 is not a number"))
      << rows.back();
}

}  // namespace
}  // namespace sluice::app
