// What `sluice batch` reads: a file, all files of a pattern, or a folder of them, as one table.
//
// A pattern has *, ?, [...], and ** for folders of any depth. Folders below its fixed part that are
// called name=value (as Hive and Spark write them) give a column `name` of that value.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "clients/duckdb_session.h"

namespace sluice::tools::batch {

struct InputFile {
  std::filesystem::path path;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970
  // Of an object of a store that this is a copy of: its ETag, or what else changes with it. It says
  // on every machine whether the input is the same; empty for a file.
  std::string version;
  // One for each of the partition's names; nothing: null.
  std::vector<std::optional<std::string>> partition;
};

struct Input {
  clients::TableFormat format{};
  std::vector<InputFile> files;  // natural order: part-2 before part-10
  std::vector<std::string> partition;
};

// Errors: kNotFound/`no_table`; kInvalidArgument/`bad_table` where files are of several kinds or
// lie in folders that say different things; those of clients/duckdb_files.h.
Result<Input> find_input(const std::string& given);

// One table of these files. `base`: the folder that the names of partitions count from. Errors: as
// above.
Result<Input> input_of(const std::vector<std::filesystem::path>& files,
                       const std::filesystem::path& base);
Result<clients::TableFormat> one_format(const std::vector<std::filesystem::path>& files);

// Errors: kInvalidArgument/`usage` where `output` is one of the input's files.
Result<void> check_not_input(const Input& input, const std::filesystem::path& output);
Failure output_is_input();

// Errors: kUnavailable/`changing` where it is not what it was when it was found.
Result<clients::OpenTable> open_input(const Input& input, std::size_t file);

}  // namespace sluice::tools::batch
