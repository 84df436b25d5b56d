// Metrics of versions: requests, times, batches, cache, predictions, guards, loads.
//
// A version appears with its first request: a server of 300 models that asks three of them tells
// the times of three. Labels are names of models, versions, protocols, outcomes, stages, classes
// and of features in model.yaml: a bounded number, and nothing that a client can choose.
//
// Thread-safety: functions without state.
#pragma once

#include "core/serving_table.h"
#include "telemetry/exposition.h"

namespace sluice::frontends {

void write_version_metrics(Exposition& out, const ServingTable& table);
// The same by the names of Triton Inference Server (docs/user_guide/metrics.md of it), so that
// dashboards made for it work: times in microseconds, as there.
void write_triton_metrics(Exposition& out, const ServingTable& table);

}  // namespace sluice::frontends
