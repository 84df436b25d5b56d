// A footer says what DuckDB wrote; and a file that is not whole, or not to be cut, is refused.
#include "tools/batch/parquet_footer.h"

#include <algorithm>
#include <random>

#include "tools/batch/testing/parquet_files.h"

namespace sluice::tools {
namespace {

using namespace parquet;
using ParquetFooters = ParquetFiles;

TEST_F(ParquetFooters, SaysWhatIsInTheFile) {
  const auto file = table("x.parquet", mixed(5000), "ROW_GROUP_SIZE 2048, KV_METADATA {who: 'me'}");
  const auto footer = open(file).footer;
  EXPECT_EQ(footer.rows, 5000u);
  ASSERT_EQ(footer.row_groups.size(), 3u);
  EXPECT_EQ(footer.row_groups[0].rows, 2048u);
  EXPECT_EQ(footer.row_groups[2].rows, 904u);
  EXPECT_EQ(footer.row_groups[0].offset, 4u);
  std::uint64_t bytes = 4;
  for (const auto& group : footer.row_groups) {
    EXPECT_EQ(group.offset, bytes);
    bytes += group.bytes;
    EXPECT_GT(group.uncompressed, 0u);
  }
  EXPECT_LT(bytes, std::filesystem::file_size(file));
  std::string columns;
  for (const auto& column : footer.columns) {
    columns += column.name + ":" + std::to_string(column.leaves) + " ";
  }
  EXPECT_EQ(columns,
            "i:1 t:1 d:1 rare:1 never:1 truth:1 money:1 at:1 deep:2 list:1 map:2 bytes:1 ");
  EXPECT_EQ(footer.leaves, 14u);
  EXPECT_EQ(footer.columns[9].first_leaf, 10u);
  EXPECT_TRUE(footer.created_by.starts_with("DuckDB"));
  EXPECT_EQ(footer.key_values, (std::vector<std::pair<std::string, std::string>>{{"who", "me"}}));
}

TEST_F(ParquetFooters, WhatIsNoParquetIsRefused) {
  const std::string begin = "'fault.parquet' cannot be read as Parquet: ";
  const auto good = bytes_of(table("x.parquet", "SELECT 1 AS a"));
  EXPECT_EQ(footer_fault(good).message, "no fault");
  EXPECT_EQ(footer_fault("").message, begin + "it is too short; is it whole?");
  EXPECT_EQ(footer_fault(good.substr(0, good.size() / 2)).message,
            begin + "it does not end with PAR1; is it cut off?");
  EXPECT_EQ(footer_fault("a,b\n1,2\n3,4\n").message,
            begin + "it does not begin with PAR1; is it another kind of file?");
  EXPECT_EQ(footer_fault("PAR1\xFF\xFF\xFF\x7FPAR1").message,
            begin + "its footer is damaged (it is longer than the file); write the file again");
  EXPECT_EQ(footer_fault(good).reason, "");
  EXPECT_EQ(footer_fault("").reason, "bad_table");
  const Fd directory(::open(root_.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(read_footer(directory, "the table").error().message,
            "the table is not a regular file; expected a file");
}

TEST_F(ParquetFooters, WhatCannotBeCutIsRefused) {
  const std::string begin = "'fault.parquet' cannot be read as Parquet: ";
  const auto file = table("x.parquet", "SELECT i, 1 AS b FROM range(5000) r(i)");
  const auto fault = [&](const std::function<void(ThriftStruct&)>& change) {
    const auto message = footer_fault(with_footer(file, change)).message;
    EXPECT_TRUE(message == "no fault" || message.starts_with(begin)) << message;
    return message.starts_with(begin) ? message.substr(begin.size()) : message;
  };
  const auto meta_fault = [&](std::int16_t id, std::int64_t value) {
    const auto message = fault([&](ThriftStruct& head) {
      chunk_of(head, 0, 1).structure(kChunkMeta)->set(id, ThriftValue::i64(value));
    });
    EXPECT_TRUE(message.starts_with("its footer is damaged (row group 1: ")) << message;
    return message.substr(std::min<std::size_t>(message.size(), 36));
  };
  EXPECT_EQ(fault([](ThriftStruct&) {}), "no fault");
  EXPECT_EQ(footer_fault(bytes_of(file).replace(std::filesystem::file_size(file) - 4, 4, "PARE"))
                .message.substr(begin.size()),
            "its footer is encrypted; expected a file that is not: write it without");
  EXPECT_EQ(fault([](ThriftStruct& head) {
              head.set(kFileEncryption, {ThriftType::kStruct, ThriftStruct{}});
            }),
            "its columns are encrypted; expected a file that is not");
  EXPECT_EQ(fault([](ThriftStruct& head) {
              chunk_of(head, 0, 0).set(kChunkCrypto, {ThriftType::kStruct, ThriftStruct{}});
            }),
            "its columns are encrypted; expected a file that is not");
  EXPECT_EQ(fault([](ThriftStruct& head) {
              chunk_of(head, 0, 0).set(kChunkPath, {ThriftType::kBinary, std::string("b.parquet")});
            }),
            "its columns lie in other files; expected a file with its own data");
  EXPECT_EQ(fault([](ThriftStruct& head) { head.set(kFileRows, ThriftValue::i64(7)); }),
            "its footer is damaged (the row groups have 5000 rows, the file says another number); "
            "write the file again");
  EXPECT_EQ(fault([](ThriftStruct& head) { head.list(kFileSchema)->items.pop_back(); }),
            "its footer is damaged (its schema is no tree); write the file again");
  const std::string end = "); write the file again";
  EXPECT_EQ(meta_fault(kMetaDataOffset, 1 << 30), "a column lies outside the data" + end);
  EXPECT_EQ(meta_fault(kMetaDataOffset, 0), "a column lies outside the data" + end);
  EXPECT_EQ(meta_fault(kMetaCompressed, std::numeric_limits<std::int64_t>::max()),
            "a column lies outside the data" + end);
  EXPECT_EQ(meta_fault(kMetaDictionaryOffset, 1 << 30), "a column lies outside the data" + end);
  EXPECT_EQ(meta_fault(kMetaValues, -1), "a column is not described" + end);
  EXPECT_EQ(
      fault([](ThriftStruct& head) { chunk_of(head, 0, 1) = chunk_of(head, 0, 0); }).substr(23),
      "row group 1: two columns lie at the same place" + end);
}

// ---- damage ------------------------------------------------------------------------------------

// Every way a file goes: taken apart, put together and set beside another one.
class DamagedParquet : public ParquetFiles {
 protected:
  // In memory: thousands of them are slow on a disk.
  static Fd memory(std::string_view bytes = {}) {
    Fd out(::memfd_create("table", MFD_CLOEXEC));
    EXPECT_TRUE(ByteWriter(out).write(bytes));
    return out;
  }

  // Whether it could be cut. What was cut is a file again, `out_`, and may be set beside others.
  bool survives(const std::string& bytes) {
    bad_ = memory(bytes);
    const auto footer = read_footer(bad_, "'bad.parquet'");
    if (!footer) {
      EXPECT_FALSE(footer.error().message.empty());
      return false;
    }
    const ParquetRows rows{bad_, *footer};
    out_ = memory();
    if (!extract(rows, out_)) return false;
    const auto again = read_footer(out_, "the output");
    EXPECT_TRUE(again) << again.error().message;
    const ParquetRows twice[] = {rows, {out_, *again}};
    EXPECT_TRUE(concatenate(twice, memory()));
    const std::string without[] = {"p", "i"};
    (void)paste(other_.rows(), without, rows, memory());
    (void)paste(rows, without, other_.rows(), memory());
    return true;
  }
  // As DuckDB reads it, or its fault behind a '!'.
  std::string read(const Fd& fd) {
    return answer("SELECT * FROM read_parquet('" + clients::descriptor_path(fd) + "')");
  }

  Fd bad_;
  Fd out_;
  const std::string select_ =
      "SELECT i, i % 3 AS t, {'a': [i], 'b': 'x' || i} AS deep FROM range(40) r(i)";
  const Path file_ = table("x.parquet", select_, "KV_METADATA {who: 'me'}");
  const OpenParquet other_ = open(table("other.parquet", "SELECT i AS p FROM range(40) r(i)"));
};

TEST_F(DamagedParquet, CutAtEveryLength) {
  const auto bytes = bytes_of(file_);
  ASSERT_TRUE(survives(bytes));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(survives(bytes.substr(0, size))) << size;
    if (size + 8 == bytes.size()) continue;
    // And with the right end, which then lies at the wrong place.
    const auto ended = bytes.substr(0, size) + bytes.substr(bytes.size() - 8);
    EXPECT_FALSE(survives(ended)) << size;
  }
}

TEST_F(DamagedParquet, BytesOfAnyValueAnywhere) {
  const auto good = bytes_of(file_);
  std::mt19937 random(11);
  std::size_t cut = 0;
  std::size_t whole = 0;
  for (int round = 0; round < 400; ++round) {
    auto bytes = good;
    bytes[random() % bytes.size()] = static_cast<char>(random());
    if (!survives(bytes)) continue;
    ++cut;
    const auto expected = read(bad_);
    if (expected.starts_with("!")) continue;
    ++whole;
    EXPECT_EQ(read(out_), expected) << round;
  }
  EXPECT_GT(cut, 200u);
  EXPECT_GT(whole, 100u);
  EXPECT_LT(cut, 400u);
}

}  // namespace
}  // namespace sluice::tools
