// Which column of the input is which feature of the model, and how it is read.
//
// Features are found by their names, or by what a mapping says they are called in the table, or are
// listed in order. Of a model with one two-dimensional input each column of that is a feature;
// else each input is one: with one value a row a plain column, with more a list (or lists in lists;
// a flat list is read in row-major order). A single input of more dimensions may also be spread
// over as many columns as a row has values, in row-major order, where none is called like it.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/signature.h"
#include "tools/batch/schema.h"

namespace sluice::tools::batch {

// As what a column comes from DuckDB.
enum class Reading : std::uint8_t {
  kFloat,     // FLOAT, which the model takes as it is
  kReal,      // DOUBLE
  kInteger,   // BIGINT
  kUnsigned,  // UBIGINT
  kText,      // VARCHAR: a text, or a number in digits
};

struct Field {
  std::string feature;  // as the model calls it
  std::string column;   // as the table does
  std::size_t input = 0;
  std::size_t place = 0;  // among the numbers of a row of that input
  Reading reading = Reading::kReal;
  bool list = false;
  std::string sql;  // an expression over raw_table
};

struct Binding {
  std::vector<Field> fields;  // ordered by input, then by place
  bool in_order = false;      // nobody knew names: the table's columns were taken as they come
};

struct BindOptions {
  std::vector<std::string> columns;            // in order; empty: by name
  std::map<std::string, std::string> mapping;  // feature → column
  std::vector<std::string> made;               // columns that are answers, and never features
  // What can be done where a column is missing.
  std::string remedy =
      "Say what is called otherwise with --map, or list the columns in the model's order with "
      "--columns";
};

// Errors: kInvalidArgument/`missing_feature`, `unknown_column`, `wrong_type`, `wrong_columns`.
Result<Binding> bind(const Signature& signature, const Schema& schema, const BindOptions& options);

}  // namespace sluice::tools::batch
