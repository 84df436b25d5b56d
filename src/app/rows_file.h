// Rows of numbers in a file: what a command explains, or compares with.
//
//   .json    a list of rows, or one row; a row is a list, or an object by name
//   .jsonl   a row a line; lines that are requests ({"features": …}) give their features
//   .csv     a row a line behind a header that names the columns; empty is a missing value
//   .parquet by DuckDB, where its library is on this machine
//
// Thread-safety: functions without state.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/signature.h"

namespace sluice::app {

struct RowsFile {
  std::vector<std::string> columns;  // of lists, where the file names them
  std::vector<nlohmann::json> rows;  // lists or objects
};

// The first `most` rows. `what`: how messages call the file: "the input file". Errors: kNotFound,
// kInvalidArgument with the line.
Result<RowsFile> read_rows(const std::string& path, std::size_t most, const std::string& what);

// The same rows in the order of the model's columns where both have names; what the model does not
// take is left out. Errors: a column of the model's is missing.
Result<void> arrange(RowsFile& file, const Signature& signature, const std::string& what);

// One behind the other, NaN for what is missing. Errors: what is not a number, uneven rows.
Result<std::vector<double>> numbers_of(const RowsFile& file, const Signature& signature,
                                       const std::string& what);

}  // namespace sluice::app
