// Reads a table whose rows are entities and whose columns are features, for `sluice features
// import`. Memory is bounded by a row, not by the rows.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "clients/duckdb.h"
#include "core/feature_value.h"

namespace sluice::app {

struct FeatureColumns {
  std::vector<std::string> entity;    // one at least
  std::string time;                   // empty: no column has it
  std::vector<std::string> features;  // empty: all others
};

class FeatureTable {
 public:
  // `file`: .parquet, .csv, .jsonl. Errors: kInvalidArgument/`unknown_column`, `bad_column` (a
  // column is to be two things, or none is a feature), and those of clients/duckdb.h.
  static Result<FeatureTable> open(const std::string& file, const FeatureColumns& columns);

  const std::vector<std::string>& features() const { return features_; }

  struct Row {
    std::vector<std::string_view> entity;  // valid until the next row
    std::vector<FeatureData> values;
    std::optional<std::int64_t> time_ns;  // since 1970
  };
  // False at the end. In JSON lines a null is nothing, since a key that a line does not have looks
  // the same; elsewhere it is a feature without a value. Integers are exact, however large; lists
  // of numbers are lists; all other types are texts. Errors: kInvalidArgument/`bad_entity` (null or
  // empty), `bad_time`, `bad_table` (what should be a number is none), and those of
  // clients/duckdb.h.
  Result<bool> next(Row& row);

  // Of the row that was read last; the first is 1, and the line with the names does not count.
  std::uint64_t row() const { return row_; }

 private:
  // How a cell becomes a value.
  enum class As : std::uint8_t { kText, kDigits, kReal, kInteger, kTruth, kList };

  FeatureTable(clients::TableReader reader, bool gaps) : reader_(std::move(reader)), gaps_(gaps) {}
  static As reading_of(const clients::TableColumn& column, bool typed);
  Result<void> read_entity(Row& row);
  Result<void> read_time(Row& row);
  Result<FeatureData> read_cell(std::size_t column, As as) const;
  std::string place(std::size_t column) const;

  clients::TableReader reader_;
  const bool gaps_;     // a null is a key that the line does not have
  std::vector<As> as_;  // of the features, whose columns come last
  std::vector<std::string> features_;
  std::vector<bool> real_key_;  // of the entity's columns: kept as a real number
  bool timed_ = false;
  std::optional<clients::TableChunk> chunk_;
  std::size_t at_ = 0;  // in the chunk
  std::uint64_t row_ = 0;
};

}  // namespace sluice::app
