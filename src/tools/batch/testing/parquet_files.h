// For tests of Parquet files: DuckDB writes and reads them, as somebody who knows nothing of
// sluice's code.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>

#include "clients/testing/duckdb_sql.h"
#include "clients/testing/tables.h"
#include "tools/batch/parquet_fields.h"
#include "tools/batch/parquet_file.h"

namespace sluice::tools {

// A file that is open, with its footer.
struct OpenParquet {
  Fd fd;
  ParquetFooter footer;
  ParquetRows rows(std::size_t first = 0, std::size_t last = 1'000'000) const {
    return {fd, footer, first, last};
  }
};

class ParquetFiles : public clients::Tables {
 protected:
  using Path = std::filesystem::path;

  // `options` as COPY has them: "CODEC snappy, ROW_GROUP_SIZE 2048".
  Path table(const std::string& name, const std::string& select, const std::string& options = "") {
    const auto file = root_ / name;
    sql_.run("COPY (" + select + ") TO '" + file.string() + "' (FORMAT parquet" +
             (options.empty() ? "" : ", ") + options + ")");
    return file;
  }

  // Numbers, texts, nulls and what is nested, the same each time.
  static std::string mixed(int rows) {
    return "SELECT i, CASE WHEN i % 3 = 0 THEN 'text ' || (i % 50) END AS t, "
           "(i * 37 % 1000) / 7.0 AS d, CASE WHEN i % 97 = 0 THEN i::INTEGER END AS rare, "
           "NULL::INTEGER AS never, i % 2 = 0 AS truth, (i % 100)::DECIMAL(18, 3) AS money, "
           "TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS at, "
           "CASE WHEN i % 5 > 0 THEN {'a': i, 'b': [i, NULL, i + 1]} END AS deep, "
           "CASE WHEN i % 4 > 0 THEN range(i % 4) END AS list, "
           "MAP {'k' || (i % 3): i} AS map, md5(i::VARCHAR)::BLOB AS bytes "
           "FROM range(" +
           std::to_string(rows) + ") r(i)";
  }

  static OpenParquet open(const Path& file) {
    Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    auto footer = read_footer(fd, "'" + file.filename().string() + "'");
    if (!footer) throw std::runtime_error(footer.error().message);
    return {std::move(fd), *std::move(footer)};
  }
  Fd output(const std::string& name) const {
    return Fd(::open((root_ / name).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  }
  Path path(const std::string& name) const { return root_ / name; }

  // What reading it says is wrong.
  Error footer_fault(const std::string& bytes) const {
    put("fault.parquet", bytes);
    const Fd fd(::open(path("fault.parquet").c_str(), O_RDONLY | O_CLOEXEC));
    const auto footer = read_footer(fd, "'fault.parquet'");
    return footer ? Error{Code::kOk, "", "no fault", {}} : footer.error();
  }

  // The answer to a query as the text of a CSV file, or DuckDB's fault behind a '!'.
  std::string answer(const std::string& query) {
    const auto to = root_ / "answer.csv";
    std::filesystem::remove(to);
    const auto fault = sql_.try_run("COPY (" + query + ") TO '" + to.string() + "' (FORMAT csv)");
    return fault.empty() ? bytes_of(to) : "!" + fault;
  }
  std::string all_of(const Path& file, const std::string& columns = "*") {
    return answer("SELECT " + columns + " FROM '" + file.string() + "'");
  }
  // What the footer says of each chunk, places apart.
  std::string described(const Path& file, const std::string& where = "true") {
    return answer(
        "SELECT path_in_schema, row_group_num_rows, num_values, type, compression, encodings, "
        "stats_min, stats_max, stats_null_count, stats_distinct_count, stats_min_value, "
        "stats_max_value, total_compressed_size, total_uncompressed_size "
        "FROM parquet_metadata('" +
        file.string() + "') WHERE " + where + " ORDER BY row_group_id, column_id");
  }

  // The bytes of the file with another footer. `change` gets FileMetaData, with row groups as
  // values.
  static std::string with_footer(const Path& file,
                                 const std::function<void(ThriftStruct&)>& change) {
    const auto bytes = bytes_of(file);
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + bytes.size() - 8, 4);
    const auto data = bytes.size() - 8 - length;
    std::string_view footer(bytes.data() + data, length);
    auto head = read_thrift(footer).value();
    change(head);
    std::string written;
    write_thrift(head, written);
    length = static_cast<std::uint32_t>(written.size());
    return bytes.substr(0, data) + written + std::string(reinterpret_cast<char*>(&length), 4) +
           "PAR1";
  }
  // Of a footer that `with_footer` gave.
  static ThriftStruct& group_of(ThriftStruct& head, std::size_t group) {
    return *head.list(parquet::kFileRowGroups)->items.at(group).structure();
  }
  static ThriftStruct& chunk_of(ThriftStruct& head, std::size_t group, std::size_t leaf) {
    return *group_of(head, group).list(parquet::kGroupColumns)->items.at(leaf).structure();
  }

  clients::DuckdbSql sql_;
};

}  // namespace sluice::tools
