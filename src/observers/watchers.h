// All that looks at the traffic, and the tap that shows it to them.
//
// To add one: write `observers/<name>.cc` with a RecordSink, a member here and its place in the
// tap's list in watchers.cc.
//
// Thread-safety: that of its members.
#pragma once

#include <memory>
#include <string>

#include "core/serving_table.h"
#include "observers/drift.h"
#include "observers/finishing.h"
#include "observers/prediction_log.h"
#include "observers/rates.h"
#include "observers/recent.h"
#include "observers/spans.h"
#include "observers/statistics.h"
#include "observers/tap.h"
#include "observers/traffic_rows.h"

namespace sluice::observers {

struct WatchOptions {
  std::string hash_key;  // of what is hashed where it is shown (record_json.h)
  OpenLog log;           // without a target there is none
  TracerOptions tracer;  // without a URL it is off
};

struct Watchers {
  // `tables` outlives it.
  Watchers(const ServingTables& tables, WatchOptions options);

  const std::string hash_key;
  EndCounts unserved;
  Finishing finishing;
  RecentRequests recent;
  Rates rates;
  TrafficRows traffic_rows;
  DriftWatch drift;
  const std::unique_ptr<PredictionLog> log;  // null: it is off
  Tap tap;
  Tracer tracer;
};

}  // namespace sluice::observers
