// What front ends are made of: the parts of the server that they may use. Everything outlives them.
#pragma once

#include "clients/shared_memory.h"
#include "core/serving_table.h"
#include "frontends/settings.h"
#include "observers/rates.h"
#include "observers/recent.h"
#include "observers/statistics.h"
#include "observers/tap.h"
#include "observers/trace_log.h"
#include "repository/repository.h"
#include "serving/pipeline.h"
#include "serving/shadow_runner.h"

namespace sluice::release {
class Releases;
}

namespace sluice::frontends {

// What was seen of the traffic.
struct Watch {
  const observers::Tap& tap;
  const observers::RecentRequests& recent;
  const observers::Rates& rates;
  const observers::EndCounts& unserved;
};

struct Parts {
  const serving::Pipeline& pipeline;
  const ServingTables& tables;
  repository::Repository& repository;
  release::Releases& releases;
  observers::TraceControl& trace;
  clients::SharedMemory& shared_memory;
  const LiveSettings& settings;
  const serving::ShadowRunner& shadows;
  const Watch watch;
  bool model_control = false;  // models are loaded and unloaded by calls
};

}  // namespace sluice::frontends
