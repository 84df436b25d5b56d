// What is cut and put together again is what it was, as DuckDB reads it; and what does not fit is
// told.
#include "tools/batch/parquet_file.h"

#include "tools/batch/testing/parquet_files.h"

namespace sluice::tools {
namespace {

using namespace parquet;
using ParquetJoining = ParquetFiles;

std::string message(const Result<void>& result) {
  return result ? "no fault" : result.error().message;
}

std::string read_text_of(const Fd& pipe) {
  std::string out(1 << 16, '\0');
  out.resize(
      static_cast<std::size_t>(std::max<ssize_t>(0, ::read(pipe.get(), out.data(), out.size()))));
  return out;
}

// ---- extract and concatenate -------------------------------------------------------------------

TEST_F(ParquetJoining, PartsOfEveryCodecMakeTheWholeAgain) {
  for (const std::string codec : {"uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4_raw"}) {
    for (const std::string size : {"2048", "6144", "1000000"}) {
      SCOPED_TRACE(codec + " " + size);
      if (codec != "zstd" && size != "6144") continue;  // a codec is a codec
      const auto file =
          table("x.parquet", mixed(13'000), "CODEC " + codec + ", ROW_GROUP_SIZE " + size);
      const auto whole = open(file);
      const auto groups = whole.footer.row_groups.size();
      ASSERT_EQ(groups, size == "2048" ? 7u : size == "6144" ? 3u : 1u);
      std::vector<OpenParquet> parts;
      std::vector<ParquetRows> rows;
      for (std::size_t first = 0; first < groups; first += 2) {
        const auto name = "part" + std::to_string(first) + ".parquet";
        const auto made = extract(whole.rows(first, first + 2), output(name));
        ASSERT_TRUE(made) << made.error().message;
        parts.push_back(open(path(name)));
        const auto from = whole.footer.row_groups[0].rows * first;
        EXPECT_EQ(all_of(path(name)), answer("SELECT * FROM '" + file.string() + "' LIMIT " +
                                             std::to_string(parts.back().footer.rows) + " OFFSET " +
                                             std::to_string(from)));
      }
      for (const auto& part : parts) rows.push_back(part.rows());
      const auto made = concatenate(rows, output("all.parquet"));
      ASSERT_TRUE(made) << made.error().message;
      EXPECT_EQ(all_of(path("all.parquet")), all_of(file));
      EXPECT_EQ(described(path("all.parquet")), described(file));
      EXPECT_EQ(open(path("all.parquet")).footer.rows, 13'000u);
    }
  }
}

TEST_F(ParquetJoining, SchemaMetadataAndStatisticsSurvive) {
  const auto file = table("x.parquet", mixed(5000),
                          "ROW_GROUP_SIZE 2048, KV_METADATA {who: 'me', \"ARROW:schema\": 'x'}, "
                          "FIELD_IDS {i: 7, t: 8}");
  const auto whole = open(file);
  ASSERT_TRUE(extract(whole.rows(1, 2), output("part.parquet")));
  const auto about = [&](const std::string& function, const Path& of, const std::string& columns) {
    return answer("SELECT " + columns + " FROM " + function + "('" + of.string() + "')");
  };
  const std::string schema = "* EXCLUDE (file_name)";
  const auto part = path("part.parquet");
  EXPECT_EQ(about("parquet_schema", part, schema), about("parquet_schema", file, schema));
  EXPECT_EQ(about("parquet_kv_metadata", part, "key, value"),
            about("parquet_kv_metadata", file, "key, value"));
  EXPECT_EQ(described(part), described(file, "row_group_id = 1"));
  EXPECT_NE(described(part).find("2048"), std::string::npos);
  EXPECT_EQ(open(part).footer.created_by, whole.footer.created_by);
  EXPECT_EQ(open(part).footer.key_values, whole.footer.key_values);
}

// Of a Bloom filter nothing but its place is in the footer, and it stays behind.
TEST_F(ParquetJoining, BloomFiltersAreNotPointedAt) {
  const auto file = table("x.parquet", "SELECT (i % 100) * 7 AS a FROM range(10000) r(i)");
  const auto filters = [&](const Path& of) {
    return answer("SELECT count(bloom_filter_offset) FROM parquet_metadata('" + of.string() + "')");
  };
  ASSERT_EQ(filters(file), "count(bloom_filter_offset)\n1\n");
  ASSERT_TRUE(extract(open(file).rows(), output("part.parquet")));
  EXPECT_EQ(filters(path("part.parquet")), "count(bloom_filter_offset)\n0\n");
  EXPECT_EQ(answer("SELECT count(*) FROM '" + path("part.parquet").string() + "' WHERE a = 14"),
            "count_star()\n100\n");
  EXPECT_LT(bytes_of(path("part.parquet")).size(), bytes_of(file).size());
}

TEST_F(ParquetJoining, HundredsOfRowGroupsAndOfFiles) {
  sql_.run("SET preserve_insertion_order = true");
  const auto file = table("x.parquet", mixed(400 * 2048), "ROW_GROUP_SIZE 2048");
  const auto whole = open(file);
  ASSERT_EQ(whole.footer.row_groups.size(), 400u);
  const auto to = output("all.parquet");
  ParquetJoin join(to);
  for (std::size_t first = 0; first < 400; ++first) {
    // In turn from a part of its own and straight from the file.
    if (first % 2 == 0) {
      ASSERT_TRUE(join.add(whole.rows(first, first + 1)));
      continue;
    }
    const Fd part(::memfd_create("part", MFD_CLOEXEC));
    ASSERT_TRUE(extract(whole.rows(first, first + 1), part));
    const auto footer = read_footer(part, "a part");
    ASSERT_TRUE(footer) << footer.error().message;
    ASSERT_TRUE(join.add({part, *footer}));
  }
  ASSERT_TRUE(join.finish());
  EXPECT_EQ(join.rows(), 400u * 2048);
  const std::string sums =
      "count(*), sum(i), sum(d), count(t), sum(deep.a), sum(len(list)), sum(hash(map, i))";
  EXPECT_EQ(all_of(path("all.parquet"), sums), all_of(file, sums));
  EXPECT_EQ(described(path("all.parquet")), described(file));
}

TEST_F(ParquetJoining, FilesWithoutRows) {
  const auto none = open(table("none.parquet", mixed(0)));
  EXPECT_EQ(none.footer.rows, 0u);
  EXPECT_EQ(none.footer.columns.size(), 12u);
  ASSERT_TRUE(extract(none.rows(), output("part.parquet")));
  EXPECT_EQ(all_of(path("part.parquet")), all_of(path("none.parquet")));
  const auto some = open(table("some.parquet", mixed(10)));
  const ParquetRows both[] = {none.rows(), some.rows(), none.rows(), some.rows(1, 1)};
  ASSERT_TRUE(concatenate(both, output("all.parquet")));
  EXPECT_EQ(all_of(path("all.parquet")), all_of(path("some.parquet")));
  EXPECT_EQ(message(concatenate({}, output("all.parquet"))),
            "there is nothing to write a file of; expected at least one file");
}

TEST_F(ParquetJoining, TheSameInputGivesTheSameBytes) {
  const auto file = open(table("x.parquet", mixed(5000), "ROW_GROUP_SIZE 2048"));
  ASSERT_TRUE(extract(file.rows(), output("1.parquet")));
  ASSERT_TRUE(extract(file.rows(), output("2.parquet")));
  EXPECT_EQ(bytes_of(path("1.parquet")), bytes_of(path("2.parquet")));
  const auto again = open(path("1.parquet"));
  ASSERT_TRUE(extract(again.rows(), output("3.parquet")));
  EXPECT_EQ(bytes_of(path("1.parquet")), bytes_of(path("3.parquet")));
  const ParquetRows pieces[] = {file.rows(0, 1), file.rows(1, 3)};
  ASSERT_TRUE(concatenate(pieces, output("4.parquet")));
  EXPECT_EQ(bytes_of(path("1.parquet")), bytes_of(path("4.parquet")));
}

TEST_F(ParquetJoining, IntoAPipe) {
  const auto file = open(table("x.parquet", "SELECT i FROM range(100) r(i)"));
  ASSERT_TRUE(extract(file.rows(), output("file.parquet")));
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd out(ends[0]);
  {
    const Fd in(ends[1]);  // it holds 64 KB, which is more than the file
    ASSERT_TRUE(extract(file.rows(), in));
  }
  EXPECT_EQ(read_text_of(out), bytes_of(path("file.parquet")));
}

TEST_F(ParquetJoining, ColumnsThatDifferAreNamed) {
  const auto a = open(table("a.parquet", "SELECT 1 AS x, 'b' AS y"));
  const auto fault = [&](const std::string& select) {
    const auto b = open(table("b.parquet", select));
    const ParquetRows both[] = {a.rows(), b.rows()};
    return message(concatenate(both, output("all.parquet")));
  };
  const std::string begin = "'b.parquet' has other columns than 'a.parquet': ";
  const std::string end = "; all files must have the same";
  EXPECT_EQ(fault("SELECT 2 AS x, 'c' AS y"), "no fault");
  EXPECT_EQ(fault("SELECT 2 AS x, 'c' AS z"), begin + "column 2 is 'z', expected 'y'" + end);
  EXPECT_EQ(fault("SELECT 2.5::DOUBLE AS x, 'c' AS y"),
            begin + "column 'x' is of another type, or differs in whether it may be null" + end);
  EXPECT_EQ(fault("SELECT 2 AS x"), begin + "column 'y' is missing" + end);
  EXPECT_EQ(fault("SELECT 2 AS x, 'c' AS y, 1 AS z"), begin + "column 'z' is too many" + end);
}

// ---- paste -------------------------------------------------------------------------------------

TEST_F(ParquetJoining, ColumnsAreSetSideBySide) {
  const auto left = table("l.parquet", mixed(5000), "ROW_GROUP_SIZE 2048, CODEC gzip");
  const auto right =
      table("r.parquet", "SELECT i * 2 AS prediction, [i, i] AS scores FROM range(5000) r(i)",
            "ROW_GROUP_SIZE 2048, CODEC zstd");
  const auto made = paste(open(left).rows(), {}, open(right).rows(), output("both.parquet"));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(all_of(path("both.parquet")), answer("SELECT * FROM '" + left.string() +
                                                 "' POSITIONAL JOIN '" + right.string() + "'"));
  const auto both = open(path("both.parquet")).footer;
  EXPECT_EQ(both.columns.size(), 14u);
  EXPECT_EQ(both.columns.back().name, "scores");
  const auto of_left = [](const std::string& part) {
    return "path_in_schema NOT LIKE 'prediction' AND path_in_schema NOT LIKE 'scores%'" + part;
  };
  EXPECT_EQ(described(path("both.parquet"), of_left("")), described(left));
  EXPECT_EQ(described(path("both.parquet"), "NOT (" + of_left("") + ")"), described(right));
}

TEST_F(ParquetJoining, ColumnsOfTheLeftMayBeLeftOut) {
  const auto left =
      table("l.parquet", mixed(3000), "KV_METADATA {who: 'me', \"ARROW:schema\": 'x'}");
  const auto right = table("r.parquet", "SELECT i AS deep FROM range(3000) r(i)");
  const std::string without[] = {"deep", "t", "not there"};
  ASSERT_TRUE(paste(open(left).rows(), without, open(right).rows(), output("both.parquet")));
  EXPECT_EQ(all_of(path("both.parquet")),
            answer("SELECT * FROM (SELECT * EXCLUDE (deep, t) FROM '" + left.string() +
                   "') POSITIONAL JOIN '" + right.string() + "'"));
  const auto both = open(path("both.parquet")).footer;
  EXPECT_EQ(both.key_values, (std::vector<std::pair<std::string, std::string>>{{"who", "me"}}));
  const std::string all[] = {"i",     "t",  "d",    "rare", "never", "truth",
                             "money", "at", "deep", "list", "map",   "bytes"};
  ASSERT_TRUE(paste(open(left).rows(), all, open(right).rows(), output("right.parquet")));
  EXPECT_EQ(all_of(path("right.parquet")), all_of(right));
}

TEST_F(ParquetJoining, PartsArePastedIntoOneFile) {
  const auto left = open(table("l.parquet", mixed(5000), "ROW_GROUP_SIZE 2048"));
  const auto to = output("both.parquet");
  ParquetJoin join(to);
  for (std::size_t group = 0; group < 3; ++group) {
    const auto& rows = left.footer.row_groups[group].rows;
    const auto right =
        open(table("r.parquet", "SELECT " + std::to_string(group) + " * 2048 + i AS p FROM range(" +
                                    std::to_string(rows) + ") r(i)"));
    ASSERT_TRUE(join.add(left.rows(group, group + 1), {}, right.rows()));
  }
  ASSERT_TRUE(join.finish());
  EXPECT_EQ(all_of(path("both.parquet"), "count(*), sum(i), count_if(i = p) AS same"),
            "count_star(),sum(i),same\n5000,12497500,5000\n");
}

TEST_F(ParquetJoining, WhatDoesNotFitSideBySideIsTold) {
  const auto left =
      open(table("l.parquet", "SELECT i FROM range(5000) r(i)", "ROW_GROUP_SIZE 2048"));
  const auto fault = [&](const std::string& select, const std::string& options = "") {
    const auto right = open(table("r.parquet", select, options));
    return message(paste(left.rows(), {}, right.rows(), output("both.parquet")));
  };
  EXPECT_EQ(fault("SELECT i AS p FROM range(5000) r(i)", "ROW_GROUP_SIZE 2048"), "no fault");
  EXPECT_EQ(
      fault("SELECT i AS p FROM range(5000) r(i)"),
      "'l.parquet' has 3 row groups, 'r.parquet' has 1; to put columns side by side they must "
      "be the same");
  EXPECT_EQ(fault("SELECT i AS p FROM range(5001) r(i)", "ROW_GROUP_SIZE 2048"),
            "row group 3 of 'r.parquet' has 905 rows, expected 904 as in 'l.parquet'");
  EXPECT_EQ(fault("SELECT i FROM range(5000) r(i)", "ROW_GROUP_SIZE 2048"),
            "column 'i' is in 'l.parquet' and in 'r.parquet'; leave it out of the first, or name "
            "the other one differently");
  const auto none = open(table("none.parquet", "SELECT 1 AS p LIMIT 0"));
  ASSERT_TRUE(paste(left.rows(1, 1), {}, none.rows(), output("both.parquet")));
  EXPECT_EQ(all_of(path("both.parquet")), "i,p\n");
}

// ---- what holds and what does not --------------------------------------------------------------

ThriftValue sorting_by(std::int32_t leaf) {
  return {ThriftType::kStruct, ThriftStruct{{{1, ThriftValue::i32(leaf)},
                                             {2, {ThriftType::kFalse, {}}},
                                             {3, {ThriftType::kFalse, {}}}}}};
}

TEST_F(ParquetJoining, TheOrderOfRowsIsKeptAsFarAsItsColumnsAre) {
  const auto file = table("x.parquet", "SELECT 1 AS a, {'x': 2, 'y': 3} AS b, 4 AS c, 5 AS d");
  put("sorted.parquet", with_footer(file, [](ThriftStruct& head) {
        group_of(head, 0).set(
            kGroupSorting,
            {ThriftType::kList,
             ThriftList{ThriftType::kStruct, {}, {sorting_by(4), sorting_by(2), sorting_by(3)}}});
      }));
  const auto left = open(path("sorted.parquet"));
  const auto right = open(table("r.parquet", "SELECT 9 AS p"));
  const auto order = [&](std::vector<std::string> without) {
    EXPECT_TRUE(paste(left.rows(), without, right.rows(), output("both.parquet")));
    const auto group = open(path("both.parquet")).footer.row_group(0);
    std::vector<std::int64_t> out;
    if (!group.list(kGroupSorting)) return out;
    for (const auto& item : group.list(kGroupSorting)->items) {
      out.push_back(item.structure()->integer(kSortingColumn).value());
    }
    return out;
  };
  using Leaves = std::vector<std::int64_t>;
  EXPECT_EQ(order({}), (Leaves{4, 2, 3}));
  EXPECT_EQ(order({"a"}), (Leaves{3, 1, 2}));
  EXPECT_EQ(order({"b"}), (Leaves{2}));
  EXPECT_EQ(order({"c"}), (Leaves{3, 2}));
  EXPECT_EQ(order({"d"}), Leaves());
}

TEST_F(ParquetJoining, BoundsOfAnotherWriterAreLeftOut) {
  const auto file = table("a.parquet", "SELECT i, i::VARCHAR AS t FROM range(10) r(i)");
  const auto least = [&](const Path& of) {
    return answer("SELECT stats_min_value, stats_null_count FROM parquet_metadata('" + of.string() +
                  "') ORDER BY row_group_id, column_id");
  };
  const std::string kept = "0,0\n0,0\n";
  const auto joined_with = [&](const std::function<void(ThriftStruct&)>& change) {
    put("b.parquet", with_footer(file, change));
    const auto a = open(file);
    const auto b = open(path("b.parquet"));
    const ParquetRows both[] = {a.rows(), b.rows()};
    EXPECT_TRUE(concatenate(both, output("all.parquet")));
    return least(path("all.parquet"));
  };
  const std::string head = "stats_min_value,stats_null_count\n";
  EXPECT_EQ(joined_with([](ThriftStruct&) {}), head + kept + kept);
  EXPECT_EQ(joined_with([](ThriftStruct& footer) {
              footer.set(kFileCreatedBy, {ThriftType::kBinary, std::string("somebody else")});
            }),
            head + kept + ",0\n,0\n");
  EXPECT_EQ(joined_with([](ThriftStruct& footer) { footer.erase(kFileColumnOrders); }),
            head + kept + (open(file).footer.head.find(kFileColumnOrders) ? ",0\n,0\n" : kept));
}

// Some writers say 0 where there is no dictionary.
TEST_F(ParquetJoining, ADictionaryAtZeroIsNone) {
  const auto file = table("x.parquet", "SELECT i FROM range(10) r(i)");
  put("zero.parquet", with_footer(file, [](ThriftStruct& head) {
        auto& meta = *chunk_of(head, 0, 0).structure(kChunkMeta);
        ASSERT_FALSE(meta.find(kMetaDictionaryOffset));
        meta.set(kMetaDictionaryOffset, ThriftValue::i64(0));
        chunk_of(head, 0, 0).set(kChunkOffset, ThriftValue::i64(4));
        group_of(head, 0).set(kGroupOrdinal, {ThriftType::kI16, std::int64_t{0}});
        head.set(77, ThriftValue::i64(1));
      }));
  const auto zero = open(path("zero.parquet"));
  const ParquetRows twice[] = {zero.rows(), zero.rows()};
  ASSERT_TRUE(concatenate(twice, output("all.parquet")));
  const auto all = open(path("all.parquet")).footer;
  EXPECT_EQ(all.head.integer(77), 1) << "what is not known stays";
  const auto second = all.row_group(1);
  EXPECT_EQ(second.integer(kGroupOrdinal), 1);
  EXPECT_EQ(second.integer(kGroupOffset), static_cast<std::int64_t>(all.row_groups[1].offset));
  const auto& chunk = *second.list(kGroupColumns)->items[0].structure();
  EXPECT_EQ(chunk.integer(kChunkOffset), 0);
  EXPECT_FALSE(chunk.structure(kChunkMeta)->find(kMetaDictionaryOffset));
  EXPECT_EQ(all_of(path("all.parquet"), "count(*), sum(i)"), "count_star(),sum(i)\n20,90\n");
}

}  // namespace
}  // namespace sluice::tools
