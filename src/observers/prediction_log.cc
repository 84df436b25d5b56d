#include "observers/prediction_log.h"

#include "base/log.h"
#include "observers/record_json.h"

namespace sluice::observers {
namespace {

using Clock = std::chrono::steady_clock;

// So long nothing must be dropped until it is said to be over.
constexpr std::chrono::seconds kQuiet{5};
// One that holds so much is not worth keeping for the next lines.
constexpr std::size_t kSlack = std::size_t{16} << 10;

}  // namespace

PredictionLog::PredictionLog(const ServingTables& tables, const std::string& key, OpenLog log,
                             std::size_t waiting)
    : tables_(tables),
      key_(key),
      counters_(log.counters),
      rows_(log.target->takes_rows()),
      writer_(std::move(log), waiting) {}

RecordStyle PredictionLog::style_of(const ServingTable& table, const Record& record) const {
  RecordStyle style;
  style.key = key_;
  const ModelEntry* entry = table.find(record.model);
  if (entry == nullptr) {
    // It has gone since, and with it what may be shown of it: nothing.
    style.privacy.features = style.privacy.user_id = Privacy::kOff;
    return style;
  }
  style.privacy = entry->config.log;
  const VersionEntry* version = entry->find(record.version);
  if (version != nullptr && version->servable) style.signature = &version->servable->signature();
  return style;
}

void PredictionLog::take(const Record& record) {
  const auto& table = *tables_.read();
  const RecordStyle style = style_of(table, record);
  if (rows_) {
    batch_.row_bytes += batch_.rows.emplace_back(log_row(record, style)).bytes();
  } else {
    if (batch_.text.capacity() == 0) batch_.text.reserve(kBuffer + kSlack);
    JsonWriter json(batch_.text);
    json.begin_object();
    write_record(record, style, json);
    json.end_object();
    batch_.text += '\n';
  }
  ++batch_.lines;
  if (batch_.bytes() >= kBuffer) hand_over();
}

void PredictionLog::hand_over() {
  if (batch_.empty()) return;
  writer_.give(std::exchange(batch_, {}));
}

void PredictionLog::tick() {
  hand_over();
  tell_of_drops();
}

void PredictionLog::tell_of_drops() {
  const auto dropped = counts().dropped;
  const auto now = Clock::now();
  if (dropped > drops_told_) {
    last_drop_ = now;
    if (!dropping_) {
      drops_before_ = drops_told_;
      log::warn(
          "predictions are missing from the prediction log: more come than can be written; "
          "sluice_prediction_log_lines_total counts them");
    }
    dropping_ = true;
  } else if (dropping_ && now - last_drop_ >= kQuiet) {
    dropping_ = false;
    log::info("the prediction log is complete again; " + std::to_string(dropped - drops_before_) +
              " predictions are missing from it");
  }
  drops_told_ = dropped;
}

void PredictionLog::close() {
  hand_over();
  ended_in_time_ = writer_.close(rows_ ? kGraceForRows : kGraceForLines);
  const auto all = counts();
  if (all.dropped > 0) {
    log::warn("the prediction log ends with " + std::to_string(all.written) +
              " predictions written and " + std::to_string(all.dropped) + " dropped");
  }
}

PredictionLogCounts PredictionLog::counts() const {
  const auto value = [](const std::atomic<std::uint64_t>& each) {
    return each.load(std::memory_order_relaxed);
  };
  const Tap* tap = tap_.load(std::memory_order_acquire);
  return {value(counters_->written), value(counters_->dropped) + (tap ? tap->log_dropped() : 0),
          value(counters_->bytes), value(counters_->rotations)};
}

}  // namespace sluice::observers
