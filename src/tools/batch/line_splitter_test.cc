// Parts are whole rows and all of them, counted as DuckDB counts them, wherever the pieces end that
// are read.
#include "tools/batch/line_splitter.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "clients/testing/tables.h"
#include "tools/batch/file_bytes.h"

namespace sluice::tools {
namespace {

class LineSplitting : public clients::Tables {
 protected:
  static Fd memory(std::string_view bytes) {
    Fd out(::memfd_create("table", MFD_CLOEXEC));
    EXPECT_TRUE(ByteWriter(out).write(bytes));
    return out;
  }

  struct Split {
    std::string header;
    std::vector<std::string> parts;
    std::vector<std::uint64_t> rows;
    std::string fault;
  };
  static Split split(const std::string& bytes, LineKind kind, std::uint64_t part_size = 0,
                     std::size_t piece = 1 << 20) {
    const auto fd = memory(bytes);
    LineSplitter splitter(fd, "'x'", kind, part_size, piece);
    Split out;
    const auto header = splitter.header();
    if (!header) return {{}, {}, {}, header.error().message};
    if (*header) out.header = bytes.substr((*header)->offset, (*header)->length);
    std::uint64_t rows = 0;
    while (true) {
      const auto part = splitter.next();
      if (!part) {
        out.fault = part.error().message;
        return out;
      }
      if (!*part) return out;
      EXPECT_EQ((*part)->first_row, rows);
      EXPECT_GT((*part)->rows, 0u);
      rows += (*part)->rows;
      out.rows.push_back((*part)->rows);
      out.parts.push_back(bytes.substr((*part)->offset, (*part)->length));
    }
  }
  using Parts = std::vector<std::string>;
  static Parts csv(const std::string& bytes) { return split(bytes, LineKind::kCsv).parts; }
  static Parts json(const std::string& bytes) { return split(bytes, LineKind::kJsonLines).parts; }
};

TEST_F(LineSplitting, LinesOfJson) {
  EXPECT_EQ(json(""), Parts{});
  EXPECT_EQ(json("\n \n\t\r\n"), Parts{});
  EXPECT_EQ(json("{}"), Parts{"{}"});
  EXPECT_EQ(json("{\"a\": \"x\\\"\"}\r\n\n  \n[1]\n{}"),
            (Parts{"{\"a\": \"x\\\"\"}\r\n", "[1]\n", "{}"}));
  EXPECT_EQ(json("\xEF\xBB\xBF{}\n{}\n"), (Parts{"{}\n", "{}\n"}));
  EXPECT_EQ(json("\xEF\xBB\xBF"), Parts{});
}

TEST_F(LineSplitting, RecordsOfCsv) {
  EXPECT_EQ(split("a,b\n1,2\n", LineKind::kCsv).header, "a,b\n");
  EXPECT_EQ(split("\xEF\xBB\xBF\"a\n\",b\r\n1,2\n", LineKind::kCsv).header, "\"a\n\",b\r\n");
  EXPECT_EQ(split("a,b", LineKind::kCsv).header, "a,b");
  EXPECT_EQ(split("", LineKind::kCsv).header, "");
  EXPECT_EQ(csv(""), Parts{});
  EXPECT_EQ(csv("a,b\n"), Parts{});
  EXPECT_EQ(csv("a,b\n1,2\n\n3,4"), (Parts{"1,2\n", "3,4"}));
  EXPECT_EQ(csv("a,b\r\n1,2\r\n\r\n3,4\r\n"), (Parts{"1,2\r\n", "3,4\r\n"}));
  EXPECT_EQ(csv("a,b\n\"x\ny\",1\n2,\"\n\"\n"), (Parts{"\"x\ny\",1\n", "2,\"\n\"\n"}));
  EXPECT_EQ(csv("a,b\n\"x\"\"\ny\",1\n\"\"\"\",2\n"), (Parts{"\"x\"\"\ny\",1\n", "\"\"\"\",2\n"}));
  EXPECT_EQ(csv("a,b\n1,  \"x\ny\"\n2,3\n"), (Parts{"1,  \"x\ny\"\n", "2,3\n"}));
  // A quote within a field is no more than that.
  EXPECT_EQ(csv("a,b\n1,5\" pipe\n2,3\n"), (Parts{"1,5\" pipe\n", "2,3\n"}));
}

TEST_F(LineSplitting, EmptyLinesAreRowsOfASingleColumn) {
  EXPECT_EQ(csv("a\n1\n\n2\n\n"), (Parts{"1\n", "\n", "2\n", "\n"}));
  EXPECT_EQ(csv("\"a,b\"\r\n\r\n2"), (Parts{"\r\n", "2"}));
}

TEST_F(LineSplitting, APartEndsWithTheRowThatFillsIt) {
  std::string bytes = "n,t\n";
  for (int row = 0; row < 100; ++row) bytes += std::to_string(100 + row) + ",x\n";  // of 6 bytes
  const auto parts = split(bytes, LineKind::kCsv, 100);
  EXPECT_EQ(parts.rows, (std::vector<std::uint64_t>{17, 17, 17, 17, 17, 15}));
  EXPECT_EQ(parts.parts[1].substr(0, 6), "117,x\n");
  EXPECT_EQ(split(bytes, LineKind::kCsv, 6).parts.size(), 100u);
  EXPECT_EQ(split(bytes, LineKind::kCsv, 1 << 20).rows, (std::vector<std::uint64_t>{100}));
}

TEST_F(LineSplitting, FaultsAreToldWithTheirLine) {
  EXPECT_EQ(split("a,b\n\"1\n2\",3\n4,\"5\n6\n", LineKind::kCsv).fault,
            "'x', line 4: a field in quotes does not end; expected another \" before the end of "
            "the file");
  EXPECT_EQ(split("\na,b\n1,2\n", LineKind::kCsv).fault,
            "'x', line 1: it is empty; expected the names of the columns");
  EXPECT_EQ(split("a,b\r1,2\r3,4\r", LineKind::kCsv).fault,
            "'x', line 1: lines end with \\r alone; expected \\n or \\r\\n: convert the line ends");
  const std::string longest(LineSplitter::kLongestRow - 1, 'x');
  EXPECT_EQ(split("{}\n" + longest + "\n", LineKind::kJsonLines).fault, "");
  EXPECT_EQ(split("{}\n{}\nx" + longest + "\n", LineKind::kJsonLines).fault,
            "'x', line 3: it is longer than 64 MiB; is it a table?");
  EXPECT_EQ(split("a\n\"" + longest + longest, LineKind::kCsv).fault,
            "'x', line 2: it is longer than 64 MiB; is it a table?");
  const auto kept = memory("a,b\n1,\"2\n");
  LineSplitter splitter(kept, "'x'", LineKind::kCsv, 1);
  EXPECT_FALSE(splitter.next());
  EXPECT_FALSE(splitter.next()) << "an error stays one";
}

std::string any_text(std::mt19937& random, std::string_view letters, std::size_t size) {
  std::string out;
  while (out.size() < size) out += letters[random() % letters.size()];
  return out;
}

TEST_F(LineSplitting, WhereThePiecesEndMakesNoDifference) {
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    const auto bytes = (round % 5 == 0 ? "\xEF\xBB\xBF" : "") +
                       any_text(random, "ab,,\"\"\"\n\n\r  ", random() % 60);
    for (const auto kind : {LineKind::kCsv, LineKind::kJsonLines}) {
      const std::uint64_t size = random() % 12;
      const auto whole = split(bytes, kind, size);
      for (const std::size_t piece : {3, 4, 7, 16}) {
        const auto other = split(bytes, kind, size, piece);
        ASSERT_EQ(other.header, whole.header) << round << " of " << bytes;
        ASSERT_EQ(other.parts, whole.parts) << round << " of " << bytes;
        ASSERT_EQ(other.rows, whole.rows) << round << " of " << bytes;
        ASSERT_EQ(other.fault, whole.fault) << round << " of " << bytes;
      }
    }
  }
}

// Of tables that DuckDB can read, the parts have the rows that the whole has.
TEST_F(LineSplitting, PartsHaveTheRowsThatDuckdbReads) {
  std::mt19937 random(5);
  const auto duckdb = engine();
  const auto rows_of =
      [&](const std::string& bytes,
          const char* name) -> std::optional<std::vector<std::vector<std::string>>> {
    const auto file = put(name, bytes);
    const clients::WantedColumn wanted[] = {{"a", clients::ColumnKind::kText},
                                            {"b", clients::ColumnKind::kText}};
    auto reader = duckdb.read(file, std::span(wanted).first(bytes.starts_with("a,b") ? 2 : 1));
    std::vector<std::vector<std::string>> out;
    while (reader) {
      const auto chunk = reader->next();
      if (!chunk) return std::nullopt;
      if (!*chunk) return out;
      for (std::size_t row = 0; row < (*chunk)->rows(); ++row) {
        auto& line = out.emplace_back();
        for (std::size_t column = 0; column < reader->columns().size(); ++column) {
          line.push_back(cell(clients::ColumnKind::kText, **chunk, column, row));
        }
      }
    }
    return std::nullopt;
  };
  const auto field = [&]() -> std::string {
    switch (random() % 6) {
      case 0: return "";
      case 1: return "\"" + any_text(random, "x\n, ", random() % 5) + "\"";
      case 2: return "\"x\"\"\n\"\"\"";
      case 3: return " \"y\nz\"";
      case 4: return "5\" z";
      default: return any_text(random, "xyz", 1 + random() % 4);
    }
  };
  std::size_t compared = 0;
  for (int round = 0; round < 60; ++round) {
    const bool single = round % 3 == 0;
    const std::string header = single ? "a\n" : "a,b\n";
    std::string bytes = header;
    for (int row = 0; row < 12; ++row) {
      if (random() % 8 == 0) bytes += "\n";
      bytes += field() + (single ? "" : "," + field()) + "\n";
    }
    const auto expected = rows_of(bytes, "all.csv");
    if (!expected) continue;
    ++compared;
    std::vector<std::vector<std::string>> together;
    const auto parts = split(bytes, LineKind::kCsv, random() % 30);
    for (std::size_t index = 0; index < parts.parts.size(); ++index) {
      const auto rows = rows_of(header + parts.parts[index], "part.csv");
      ASSERT_TRUE(rows) << parts.parts[index];
      EXPECT_EQ(rows->size(), parts.rows[index]) << parts.parts[index];
      together.insert(together.end(), rows->begin(), rows->end());
    }
    EXPECT_EQ(together, *expected) << bytes;
  }
  EXPECT_GT(compared, 30u);
}

}  // namespace
}  // namespace sluice::tools
