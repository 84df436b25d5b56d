// Standard gRPC health checking: Check and Watch. The empty service name and every service that is
// served here follow `/ready`; other names are unknown.
#pragma once

#include "core/serving_table.h"
#include "transport/grpc.h"

namespace sluice::frontends {

// Both outlive the methods. Watchers are told of changes by `tick`, which every I/O thread calls.
void add_grpc_health(transport::GrpcMethods& methods, const ServingTables& tables);
// Sends the state to this thread's watchers if it has changed.
void tick_grpc_health();

}  // namespace sluice::frontends
