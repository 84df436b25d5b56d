// One request's rows, from what was fetched and sent to the inputs of the model. Internal to
// features.
//
// What was sent goes before what was fetched, a default before nothing, and nothing is made up: a
// feature that is there without a value is a missing value where the model takes one, with a
// warning; one that is not there is an error.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/request.h"
#include "features/gathering.h"
#include "features/plan.h"
#include "features/rows_writer.h"

namespace sluice::features {

class RowJoin {
 public:
  RowJoin(const Plan& plan, const std::string& store, const Signature& signature, Request& request);

  // Fills inputs, rows and feature_times. Errors: kNotFound/`unknown_entity`; kInvalidArgument:
  // `missing_feature`, `wrong_type`, `stale_feature` (a guard, with details).
  Result<void> run();

 private:
  // One feature of the row at hand.
  struct Cell {
    const FeatureData* data = nullptr;
    std::int64_t time_ns = 0;
    bool sent = false;
  };

  // The one row that is as it was fetched, where that can be; else null.
  const KeptRow* plain_row() const;
  bool use_ready(const KeptRow& row);
  void make_ready(const KeptRow& row) const;
  // A row that is as it was fetched, numbers all of it and of no age: true where it is written.
  bool write_plain(std::size_t row);
  Result<void> join_row(std::size_t row);
  Result<void> look_up(std::size_t feature, std::size_t row);
  Result<void> look_up_known(std::size_t feature, const FeatureRow& found, std::size_t row);
  void use_default(std::size_t feature, const std::optional<FeatureData>& fallback);
  void make(std::size_t feature);
  Result<void> check_age(std::size_t feature, std::size_t row);
  Result<void> write(std::size_t row);
  void warn();
  static void count(std::vector<std::size_t>& counts, std::size_t feature, std::size_t features);

  Failure unknown_entity(std::size_t lookup, std::size_t row) const;
  Failure missing(std::size_t feature, std::size_t row) const;
  std::string whose(std::size_t row) const;  // "entity 'u42'"

  const Plan& plan_;
  const std::string& store_;
  const Signature& signature_;
  Request& request_;
  const FeatureAsk& ask_;
  const FetchedRows* fetched_;  // null: there was nothing to fetch
  std::optional<RowsWriter> writer_;
  std::span<std::int64_t> times_;
  std::int64_t now_ns_ = 0;  // since 1970; where nothing has an age nobody asks
  std::size_t next_given_ = 0;
  std::span<Cell> cells_;  // by feature
  std::vector<FeatureData> made_;
  // By feature, over all rows; made when the first is counted.
  std::vector<std::size_t> stale_;
  std::vector<std::size_t> null_;
  std::size_t defaulted_ = 0;
};

}  // namespace sluice::features
