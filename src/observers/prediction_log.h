// The prediction log: a line of JSON (record_json.h) or a row of a Parquet file (log_row.h) for
// each request that was answered and that the model's `log.sample` picked.
//
// Records come on the tap's thread, are written as text there, and go in buffers to a thread of the
// log's own (log_writer.h), so that a disk that hangs holds up neither requests nor whoever else
// looks at records. Each line is written, dropped (the tap's ring or the buffers were full, or the
// disk refused it) or still on its way; the first two are counted.
//
// Thread-safety: `take`, `tick` and `close` are called on the tap's thread, or after it; the rest
// from any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "core/serving_table.h"
#include "observers/log_target.h"
#include "observers/log_writer.h"
#include "observers/tap.h"

namespace sluice::observers {

// Since the start.
struct PredictionLogCounts {
  std::uint64_t written = 0;
  std::uint64_t dropped = 0;
  std::uint64_t bytes = 0;
  std::uint64_t rotations = 0;
};

class PredictionLog final : public RecordSink {
 public:
  static constexpr std::size_t kBuffer = std::size_t{128} << 10;  // bytes that are handed over
  // For what still waits at the end: a file of rows is compressed then.
  static constexpr Millis kGraceForLines{5000};
  static constexpr Millis kGraceForRows{15'000};

  // `tables` and `key` (of hashes) outlive it; `log` has a target, `waiting` is the writer's.
  PredictionLog(const ServingTables& tables, const std::string& key, OpenLog log,
                std::size_t waiting = LogWriter::kWaiting);

  Wanted wants() const override { return kForLog; }
  void take(const Record& record) override;
  void tick() override;
  void close() override;

  // What the tap drops counts as well from now on. It outlives the log's last `counts`.
  void follow(const Tap& tap) { tap_.store(&tap, std::memory_order_release); }
  PredictionLogCounts counts() const;
  // False: what writes hung at the end, and its thread is left behind.
  bool ended_in_time() const { return ended_in_time_; }

 private:
  RecordStyle style_of(const ServingTable& table, const Record& record) const;
  void hand_over();
  void tell_of_drops();

  const ServingTables& tables_;
  const std::string& key_;
  const std::shared_ptr<LogCounters> counters_;
  const bool rows_;  // not lines
  LogWriter writer_;
  LogBatch batch_;
  std::atomic<const Tap*> tap_{nullptr};
  bool ended_in_time_ = true;
  // Of what the process log was told.
  std::uint64_t drops_told_ = 0;
  std::uint64_t drops_before_ = 0;
  bool dropping_ = false;
  std::chrono::steady_clock::time_point last_drop_;
};

}  // namespace sluice::observers
