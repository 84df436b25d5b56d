// Reads a table of training data for `sluice inspect --learn-bounds`: which of its columns are the
// model's, what they are like, and a fair sample of rows to run the model on. Memory is bounded by
// the model's columns, not by the rows.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/signature.h"
#include "statistics/column_summary.h"

namespace sluice::app {

// A column of the model's one table, or one of its scalar inputs.
struct LearnedColumn {
  std::string name;      // as model.yaml will call it
  std::string in_table;  // as the table calls it
  std::size_t input = 0;
  DType dtype = DType::kFloat32;
  statistics::ColumnSummary summary;  // of numbers
  std::vector<double> numbers;        // of the sampled rows
  std::vector<std::string> texts;     // the same where the input is text

  bool is_text() const { return dtype == DType::kString; }
};

struct LearnedTable {
  std::uint64_t rows = 0;
  std::uint64_t sampled = 0;
  bool in_order = false;  // columns were matched by their order, not by their names
  std::vector<LearnedColumn> columns;
};

// `file`: .parquet, .csv, .jsonl. `label`: a column that is not the model's; may be empty. Errors:
// kInvalidArgument/`unknown_column`, `wrong_columns`, `wrong_type`, `empty_table`,
// `not_learnable` (an input that is neither a table nor a single value), and those of
// clients/duckdb.h.
Result<LearnedTable> read_training(const Signature& signature, const std::string& file,
                                   const std::string& label);

}  // namespace sluice::app
