// The simple gRPC API: PredictionService (proto/prediction.proto).
#pragma once

#include "serving/pipeline.h"
#include "transport/grpc.h"

namespace sluice::frontends {

// `pipeline` outlives the methods.
void add_grpc_simple(transport::GrpcMethods& methods, const serving::Pipeline& pipeline);

}  // namespace sluice::frontends
