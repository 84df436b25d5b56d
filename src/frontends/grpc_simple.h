// The simple gRPC API: PredictionService (proto/prediction.proto).
#pragma once

#include "frontends/parts.h"
#include "transport/grpc.h"

namespace sluice::frontends {

void add_grpc_simple(transport::GrpcMethods& methods, const Parts& parts);

}  // namespace sluice::frontends
