// The files of a table: found, opened and looked at before DuckDB has them, so that the usual
// faults are told in plain words. Only the duckdb_* files of this room include it.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace sluice::clients {

enum class TableFormat : std::uint8_t { kParquet, kCsv, kJsonLines };

std::string_view format_name(TableFormat format);

// The last part of a path, in quotes, as messages show it.
std::string shown_name(const std::filesystem::path& file);

// By the ending. Errors: kInvalidArgument/`bad_table`.
Result<TableFormat> table_format(const std::filesystem::path& file);

// At least one, in natural order. A file that has the pattern for its name is meant itself. Errors:
// kNotFound/`no_table`; kUnavailable/`unreadable` when a directory cannot be looked through.
Result<std::vector<std::filesystem::path>> table_files(const std::filesystem::path& pattern);

// A file that is open, and only read.
struct OpenTable {
  Fd fd;
  std::filesystem::path file;
  TableFormat format;
};

// Errors: kNotFound/`no_table`; kInvalidArgument or kUnavailable/`unreadable`;
// kInvalidArgument/`bad_table` when it is empty, or begins or ends as no Parquet file does.
Result<OpenTable> open_table(const std::filesystem::path& file, TableFormat format);

}  // namespace sluice::clients
