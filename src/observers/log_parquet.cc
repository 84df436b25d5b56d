// The prediction log in Parquet: rows are collected in memory and become a file when they are many,
// or old. Each file appears whole under a name of its own; those of a process that is killed are
// gone with its memory, which is what `interval` bounds.

#include <ctime>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "clients/duckdb.h"
#include "observers/log_rotation.h"
#include "observers/log_target.h"

namespace sluice::observers {
namespace {

namespace fs = std::filesystem;

using clients::CellType;
using Clock = std::chrono::steady_clock;

// Rows lie in memory until their file is written, and a second time in pieces while it is.
constexpr std::uint64_t kMostRowBytes = std::uint64_t{32} << 20;
constexpr std::uint64_t kMemory = std::uint64_t{256} << 20;

std::vector<clients::NewColumn> columns() {
  return {{"timestamp", CellType::kTime},    {"request_id", CellType::kText},
          {"model", CellType::kText},        {"model_version", CellType::kText},
          {"features", CellType::kReals},    {"features_json", CellType::kText},
          {"prediction", CellType::kReal},   {"predictions", CellType::kReals},
          {"confidence", CellType::kReal},   {"confidences", CellType::kReals},
          {"rows", CellType::kInteger},      {"latency_ms", CellType::kReal},
          {"user_id", CellType::kText},      {"label", CellType::kText},
          {"true_label", CellType::kReal},   {"choice_probability", CellType::kReal},
          {"from_cache", CellType::kTruth},  {"entity_id", CellType::kText},
          {"feature_times", CellType::kText}};
}

void put(clients::TableWriter& table, const std::optional<std::string>& value) {
  value ? table.text(*value) : table.null();
}
void put(clients::TableWriter& table, const std::optional<double>& value) {
  value ? table.real(*value) : table.null();
}

// One number of one row, and all numbers where there are more.
void put_numbers(clients::TableWriter& table, const std::vector<double>& values, bool many) {
  if (!many && values.size() == 1) {
    table.real(values[0]).null();
  } else if (values.empty()) {
    table.null().null();
  } else {
    table.null().reals(values);
  }
}

Result<void> append(clients::TableWriter& table, const LogRow& row) {
  table.time(clients::TableWriter::Time(std::chrono::microseconds(row.at_ns / 1000)));
  table.text(row.request_id).text(row.model).text(row.version);
  row.features.empty() ? table.null() : table.reals(row.features);
  const bool without = row.features_json.empty() || row.features_json == "null";
  without ? table.null() : table.text(row.features_json);
  put_numbers(table, row.predictions, row.many_rows);
  put_numbers(table, row.confidences, row.many_rows);
  table.integer(static_cast<std::int64_t>(row.rows)).real(row.latency_ms);
  put(table, row.user_id);
  put(table, row.label);
  put(table, row.true_label);
  put(table, row.choice_probability);
  table.truth(row.from_cache);
  put(table, row.entity_id);
  put(table, row.feature_times);
  return table.end_row();
}

std::uint64_t all_bytes(const PredictionLogOptions& options) {
  return options.keep > 0 ? options.rotate * static_cast<std::uint64_t>(options.keep)
                          : LogRotation::kAny;
}

class LogParquet final : public LogTarget {
 public:
  LogParquet(const PredictionLogOptions& options, clients::Duckdb duckdb, LogCounters& counters)
      : most_bytes_(std::min(options.rotate, kMostRowBytes)),
        interval_(options.interval),
        // Files are small beside those of lines: what counts is how much they take together.
        rotation_(options.where, LogRotation::kAny, all_bytes(options)),
        duckdb_(std::move(duckdb)),
        counters_(counters) {}

  bool takes_rows() const override { return true; }
  Result<void> write(LogBatch& batch) override;
  Result<void> tick() override;
  Result<void> finish() override;
  // Whether there can be files at all. Errors: those of clients/duckdb.h.
  Result<void> try_out() const {
    SLUICE_TRY(const auto table, duckdb_.write(rotation_.name_at(std::time(nullptr)), columns()));
    return {};
  }

 private:
  Result<void> begin();
  Failure lost(const Error& error);

  const std::uint64_t most_bytes_;
  const Millis interval_;
  const LogRotation rotation_;
  const clients::Duckdb duckdb_;
  LogCounters& counters_;
  std::optional<clients::TableWriter> table_;
  std::uint64_t bytes_ = 0;  // of its rows
  Clock::time_point begun_;
};

Result<void> LogParquet::begin() {
  SLUICE_TRY(auto table, duckdb_.write(rotation_.name_at(std::time(nullptr)), columns()));
  table_.emplace(std::move(table));
  bytes_ = 0;
  begun_ = Clock::now();
  return {};
}

// The rows of this file are gone.
Failure LogParquet::lost(const Error& error) {
  counters_.dropped.fetch_add(table_->rows(), std::memory_order_relaxed);
  table_.reset();
  return unavailable("unwritable",
                     "a file of the prediction log is lost, with its rows: " + error.message);
}

Result<void> LogParquet::write(LogBatch& batch) {
  if (!table_) SLUICE_CHECK(begin());
  for (auto& row : batch.rows) {
    if (const auto added = append(*table_, row); !added) {
      // A row that does not fit is left out and counted; without memory the whole table is.
      counters_.dropped.fetch_add(1, std::memory_order_relaxed);
      if (added.error().code != Code::kResourceExhausted) continue;
      batch.rows.erase(batch.rows.begin(), batch.rows.begin() + (&row - batch.rows.data()) + 1);
      batch.lines = batch.rows.size();
      return lost(added.error());
    }
  }
  bytes_ += batch.row_bytes;
  counters_.bytes.fetch_add(batch.row_bytes, std::memory_order_relaxed);
  batch = {};
  return bytes_ >= most_bytes_ ? finish() : Result<void>();
}

Result<void> LogParquet::tick() {
  return table_ && Clock::now() - begun_ >= interval_ ? finish() : Result<void>();
}

Result<void> LogParquet::finish() {
  if (!table_) return {};
  if (table_->rows() == 0) {
    table_.reset();
    return {};
  }
  if (const auto done = table_->finish(); !done) return lost(done.error());
  counters_.written.fetch_add(table_->rows(), std::memory_order_relaxed);
  counters_.rotations.fetch_add(1, std::memory_order_relaxed);
  table_.reset();
  if (!rotation_.remove_oldest()) {
    log::warn("an old file of the prediction log cannot be removed; the disk may become full");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<LogTarget>> open_log_parquet(const PredictionLogOptions& options,
                                                    LogCounters& counters) {
  SLUICE_TRY(auto duckdb, clients::Duckdb::open({.memory = kMemory}));
  auto out = std::make_unique<LogParquet>(options, std::move(duckdb), counters);
  SLUICE_CHECK(out->try_out());
  return out;
}

}  // namespace sluice::observers
