// What front ends are made of: the parts of the server that they may use. Everything outlives them.
//
// Thread-safety: that of its members, which any I/O thread may use.
#pragma once

#include "clients/shared_memory.h"
#include "core/serving_table.h"
#include "features/features.h"
#include "frontends/settings.h"
#include "observers/trace_log.h"
#include "observers/watchers.h"
#include "repository/repository.h"
#include "serving/pipeline.h"
#include "serving/shadow_runner.h"

namespace sluice::release {
class Releases;
}

namespace sluice::frontends {

struct Parts {
  const serving::Pipeline& pipeline;
  const ServingTables& tables;
  repository::Repository& repository;
  release::Releases& releases;
  observers::TraceControl& trace;
  clients::SharedMemory& shared_memory;
  const LiveSettings& settings;
  const serving::ShadowRunner& shadows;
  const observers::Watchers& watch;  // what is seen of the traffic
  features::Features& features;
  bool model_control = false;  // models are loaded and unloaded by calls
};

}  // namespace sluice::frontends
