// Where the prediction log goes: standard output, a file that is rotated, Parquet files. Opened at
// the start, then used by the log's writer alone.
//
// Thread-safety: a target belongs to one thread at a time; counters may be read from any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/option.h"
#include "observers/log_row.h"

namespace sluice::observers {

struct PredictionLogOptions {
  std::string where = "off";  // "stdout" or "-", or a file; a name that ends in .parquet is Parquet
  std::uint64_t rotate = std::uint64_t{128} << 20;  // bytes of a file
  std::int64_t keep = 10;                           // rotated files; 0: all
  Millis interval{600'000};  // Parquet: after so long a file is finished, whatever its size
};

// Since the start. A line is written, dropped, or still waiting.
struct LogCounters {
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> bytes{0};  // of lines, or of rows before they are compressed
  std::atomic<std::uint64_t> rotations{0};
  std::atomic<std::uint64_t> failures{0};  // of the disk
};

// What is handed to the writer at once: lines or rows, never both.
struct LogBatch {
  std::string text;
  std::vector<LogRow> rows;
  std::uint64_t lines = 0;  // or rows; those that are left
  std::size_t row_bytes = 0;
  std::size_t done = 0;  // bytes of the text that have been written

  bool empty() const { return lines == 0; }
  std::size_t bytes() const { return text.size() + row_bytes; }
};

class LogTarget {
 public:
  virtual ~LogTarget() = default;
  virtual bool takes_rows() const { return false; }
  // Takes from the batch what it has written and counted, or lost and counted. Errors:
  // kUnavailable; what is left in the batch then may be tried again.
  virtual Result<void> write(LogBatch& batch) = 0;
  // About once a second. Errors as above.
  virtual Result<void> tick() { return {}; }
  // At the end, when there is nothing more to write.
  virtual Result<void> finish() { return {}; }
};

// A target and what it counts in; shared because a thread that hangs in the disk may outlive
// whoever started it.
struct OpenLog {
  std::shared_ptr<LogCounters> counters;
  std::unique_ptr<LogTarget> target;  // null where the log is off
};

// Errors: kInvalidArgument/`bad_log`, kUnavailable/`unwritable`; for Parquet those of
// clients/duckdb.h.
Result<OpenLog> open_log(const PredictionLogOptions& options);

// One kind each; used by the above. `counters` outlive them.
std::unique_ptr<LogTarget> open_log_stream(int descriptor, LogCounters& counters);
Result<std::unique_ptr<LogTarget>> open_log_file(const PredictionLogOptions& options,
                                                 LogCounters& counters);
Result<std::unique_ptr<LogTarget>> open_log_parquet(const PredictionLogOptions& options,
                                                    LogCounters& counters);

}  // namespace sluice::observers
