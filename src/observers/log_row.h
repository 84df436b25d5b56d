// A record as a row of a table, for the prediction log in Parquet: the fields of its JSON line
// (record_json.h) as columns. What is one row of numbers is a list of numbers, everything else is
// the line's own JSON as a text.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "observers/record_json.h"

namespace sluice::observers {

struct LogRow {
  std::int64_t at_ns = 0;  // since 1970
  std::string request_id;
  std::string model;
  std::string version;
  std::vector<double> features;     // of one row of one input of numbers
  std::string features_json;        // of all other requests; empty: neither
  std::vector<double> predictions;  // one number, or all rows' one behind the other
  std::vector<double> confidences;  // one a row
  std::uint64_t rows = 1;
  double latency_ms = 0;
  std::optional<std::string> user_id;
  std::optional<std::string> label;  // of many rows: a list as JSON
  std::optional<double> true_label;
  std::optional<double> choice_probability;
  std::optional<std::string> entity_id;      // as JSON where it is not one text
  std::optional<std::string> feature_times;  // as JSON
  bool many_rows = false;
  bool from_cache = false;

  // Of memory, about.
  std::size_t bytes() const;
};

// No more than `style` allows. Texts are UTF-8: bytes that are not are replaced by U+FFFD.
LogRow log_row(const Record& record, const RecordStyle& style);

}  // namespace sluice::observers
